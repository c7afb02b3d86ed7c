// The step of docker-compose.yml that runs before the services: docker-init.mjs <project> <keys> [<volume>=<uid>:<gid> | <volume>=project]…
// Makes the keys that <project>/.env lacks, there, where a person can read them; hands each service its own in <keys>/<service>; gives each
// volume to the user that the services run as: `project` is who owns the project's folder.
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { KEYS, KEYS_OF, keysIn, replaceFile, withKeys } from './env-keys.mjs';

const [project = '', keysFolder = '', ...volumes] = process.argv.slice(2);

/** @param {string} folder @param {{ uid: number, gid: number }} owner */
function giveAll(folder, owner) {
  for (const path of [folder, ...readdirSync(folder, { recursive: true }).map((name) => join(folder, String(name)))]) {
    const { uid, gid } = lstatSync(path);
    if ((uid !== owner.uid || gid !== owner.gid) && !lstatSync(path).isSymbolicLink())
      chownSync(path, owner.uid, owner.gid);
  }
}

try {
  const file = join(project, '.env');
  const example = join(project, '.env.example');
  const source = [file, example].find((path) => existsSync(path));
  const { text, made } = withKeys(source === undefined ? '' : readFileSync(source, 'utf8'));
  if (made.length > 0) {
    replaceFile(file, text, statSync(source === file ? file : project));
    process.stdout.write(
      `${source === file ? 'Filled in' : 'Wrote .env with'} ${made.join(', ')}: read them in .env.\n`,
    );
  }

  const keys = keysIn(text);
  for (const [service, names] of Object.entries(KEYS_OF)) {
    const folder = join(keysFolder, service);
    mkdirSync(folder, { recursive: true });
    const own = join(folder, 'keys');
    replaceFile(own, names.map((name) => `${name}=${keys[name]}\n`).join(''));
    // Whichever user the service runs as: nobody else mounts this volume.
    chmodSync(own, 0o444);
  }

  for (const volume of volumes) {
    const [folder = '', owner = ''] = volume.split('=');
    const [uid, gid] = owner.split(':').map(Number);
    giveAll(folder, owner === 'project' ? statSync(project) : { uid: uid ?? 0, gid: gid ?? 0 });
  }
} catch (error) {
  process.stderr.write(
    `The services cannot be prepared: ${/** @type {Error} */ (error).message}\n` +
      `Without this step put a key of your own into .env for each of ${KEYS.join(', ')}. Make one with: openssl rand -hex 24\n`,
  );
  process.exit(1);
}
