import { existsSync, readFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { findUp, type Logger, SettingsError, watchConfig } from '@codelab/service-kit';
import { Config, parseConfig } from './config.ts';

const DEFAULT_NAME = 'llm-proxy.config.yaml';

/** Finds the file that `LLM_PROXY__CONFIG` names, or the nearest `llm-proxy.config.yaml` from `cwd` up to the repository's root. */
export function findConfigFile(named: string | undefined, cwd = process.cwd()): string | undefined {
  if (named !== undefined) {
    const file = resolve(cwd, named);
    if (existsSync(file)) return file;
    throw new SettingsError([`LLM_PROXY__CONFIG=${named}: there is no such file`]);
  }
  return findUp(DEFAULT_NAME, cwd);
}

/**
 * Reads the file, and again on each save. `onChange` gets each valid version; an invalid one is logged, and the one before stays.
 * Throws `SettingsError` where the first version is invalid.
 */
export function followConfigFile(
  file: string | undefined,
  log: Logger,
  onChange: (config: Config) => void,
): { close(): void } {
  let text: string | undefined;
  return watchConfig(file, {
    name: 'the configuration',
    read() {
      if (file === undefined) return Config.parse({});
      const before = text;
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
