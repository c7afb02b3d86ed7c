import { serviceConfig } from '../../tsup.service.ts';

export default serviceConfig('llm-proxy');
