import { serviceConfig } from '../../tsup.service.ts';

export default serviceConfig('agent-runtime', {
  db: 'src/cli/migrate.ts',
  'schema-worker': 'src/tools/schema-worker.js',
  'sqlite-worker': 'src/store/sqlite/sqlite-worker.js',
});
