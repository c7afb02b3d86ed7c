import { existsSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { type Logger, pathsUp, SettingsError, watchConfig } from '@codelab/service-kit';
import { Config, parseConfig } from './config.ts';

const DEFAULT_NAME = 'llm-proxy.config.yaml';

/**
 * Lists where the configuration may be, the nearest first: the file that `LLM_PROXY__CONFIG` names, which must exist, or
 * `llm-proxy.config.yaml` from `cwd` up to the repository's root, which may be made later.
 */
export function configFiles(named: string | undefined, cwd = process.cwd()): string[] {
  if (named === undefined) return pathsUp(DEFAULT_NAME, cwd);
  const file = resolve(cwd, named);
  if (existsSync(file)) return [file];
  throw new SettingsError([`LLM_PROXY__CONFIG=${named}: there is no such file`]);
}

/**
 * Reads the nearest of the files that exists, and again on each save. `onChange` gets each valid version, and the defaults while there is no
 * file yet; an invalid one is logged, and so is a file that is gone: the one before stays. Throws `SettingsError` where the first version is
 * invalid.
 */
export function followConfigFile(files: string[], log: Logger, onChange: (config: Config) => void): { close(): void } {
  let text: string | undefined;
  let isFirst = true;
  return watchConfig(files, {
    name: 'the configuration',
    read() {
      const wasFirst = isFirst;
      isFirst = false;
      const before = text;
      const file = files.find((candidate) => existsSync(candidate));
      if (file === undefined) {
        if (before !== undefined) throw new SettingsError([`${DEFAULT_NAME}: it is gone`]);
        return wasFirst ? Config.parse({}) : undefined;
      }
      text = readFileSync(file, 'utf8');
      return text === before ? undefined : parseConfig(text, basename(file));
    },
    apply(config) {
      onChange(config);
      return {};
    },
    log,
  });
}
