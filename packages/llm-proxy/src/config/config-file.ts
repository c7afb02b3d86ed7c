import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { type Logger, SettingsError, watchSaves } from '@codelab/service-kit';
import { Config, ConfigError, parseConfig } from './config.ts';

const DEFAULT_NAME = 'llm-proxy.config.yaml';

/** Finds the file that `LLM_PROXY__CONFIG` names, or the nearest `llm-proxy.config.yaml` from `cwd` up to the repository's root. */
export function findConfigFile(named: string | undefined, cwd = process.cwd()): string | undefined {
  if (named !== undefined) {
    const file = resolve(cwd, named);
    if (existsSync(file)) return file;
    throw new SettingsError([`LLM_PROXY__CONFIG=${named}: there is no such file`]);
  }
  for (let folder = cwd; ; folder = dirname(folder)) {
    const file = join(folder, DEFAULT_NAME);
    if (existsSync(file)) return file;
    if (existsSync(join(folder, 'turbo.json')) || dirname(folder) === folder) return undefined;
  }
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
  if (file === undefined) {
    onChange(Config.parse({}));
    return { close: () => {} };
  }
  let text = readFileSync(file, 'utf8');
  try {
    onChange(parseConfig(text, basename(file)));
  } catch (error) {
    throw error instanceof ConfigError ? new SettingsError(error.mistakes) : error;
  }
  const reload = () => {
    try {
      const now = readFileSync(file, 'utf8');
      if (now === text) return;
      text = now;
      onChange(parseConfig(now, basename(file)));
      log.info({ file, event: 'config.reloaded' }, 'configuration reloaded');
    } catch (error) {
      if (!(error instanceof ConfigError))
        return log.warn(
          { file, err: error, event: 'config.unreadable' },
          'configuration could not be read, the one before stays',
        );
      log.error(
        { file, mistakes: error.mistakes, event: 'config.invalid' },
        `configuration is invalid, the one before stays: ${error.message}`,
      );
    }
  };
  return watchSaves(file, reload);
}
