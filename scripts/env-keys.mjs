// The keys that the services know each other by, in .env. Used before anything is installed, and in the container that makes them.
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';

export const KEYS = ['GATEWAY__INTERNAL_API_KEY', 'AGENT_RUNTIME__INTERNAL_API_KEY', 'LLM_PROXY__INTERNAL_API_KEY'];

/** The keys that each service reads: its own, and that of the service it calls. @type {Record<string, string[]>} */
export const KEYS_OF = {
  gateway: ['GATEWAY__INTERNAL_API_KEY', 'AGENT_RUNTIME__INTERNAL_API_KEY'],
  'agent-runtime': ['AGENT_RUNTIME__INTERNAL_API_KEY', 'LLM_PROXY__INTERNAL_API_KEY'],
  'llm-proxy': ['LLM_PROXY__INTERNAL_API_KEY'],
};

/** Where `text` sets `name`, from the last line that does: that one counts. @param {string} text @param {string} name */
function assignmentOf(text, name) {
  const pattern = new RegExp(`^([ \\t]*(?:export[ \\t]+)?${name}[ \\t]*[=:])([^\\r\\n]*)`, 'gm');
  const match = [...text.matchAll(pattern)].at(-1);
  if (match === undefined) return undefined;
  const [whole, before = '', written = ''] = match;
  const quoted = /^\s*(["'`])(.*?)\1/.exec(written);
  return {
    index: match.index,
    length: whole.length,
    before,
    value: (quoted?.[2] ?? written.replace(/#.*/, '')).trim(),
  };
}

/**
 * Returns the text of an .env file with a random key for each one that it lacks or leaves empty. The rest of it stays as it is.
 * @param {string} text
 * @returns {{ text: string, made: string[] }} `made`: the names of the new ones
 */
export function withKeys(text) {
  const made = KEYS.filter((name) => !assignmentOf(text, name)?.value);
  const lineEnd = text.includes('\r\n') ? '\r\n' : '\n';
  let filled = text;
  for (const name of made) {
    const key = randomBytes(24).toString('hex');
    const at = assignmentOf(filled, name);
    if (at === undefined) {
      if (filled !== '' && !filled.endsWith('\n')) filled += lineEnd;
      filled += `${name}=${key}${lineEnd}`;
    } else {
      filled = `${filled.slice(0, at.index)}${at.before}${key}${filled.slice(at.index + at.length)}`;
    }
  }
  return { text: filled, made };
}

/** Returns the keys that an .env file has, by name. @param {string} text @returns {Record<string, string>} */
export function keysIn(text) {
  return Object.fromEntries(KEYS.map((name) => [name, assignmentOf(text, name)?.value ?? '']));
}

/**
 * Puts a file that only its owner may read in the place of an older one: whole, or not at all.
 * @param {string} file @param {string} text @param {{ uid: number, gid: number }} [owner] Default: who runs this.
 */
export function replaceFile(file, text, owner) {
  const target = existsSync(file) ? realpathSync(file) : file;
  const next = `${target}.${process.pid}.new`;
  try {
    writeFileSync(next, text, { mode: 0o600, flush: true });
    if (owner !== undefined) giveTo(next, owner);
    renameSync(next, target);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  }
}

/** @param {string} file @param {{ uid: number, gid: number }} owner */
function giveTo(file, { uid, gid }) {
  try {
    chownSync(file, uid, gid);
  } catch (error) {
    // Folders that Docker Desktop shares have no owners: whoever wrote a file has it.
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EPERM') throw error;
  }
}
