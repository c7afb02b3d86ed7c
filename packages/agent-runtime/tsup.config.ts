import { serviceConfig } from '../../tsup.service.ts';

export default serviceConfig('agent-runtime', {
  db: 'src/db.ts',
  'sqlite-worker': 'src/store/sqlite-worker.js',
});
