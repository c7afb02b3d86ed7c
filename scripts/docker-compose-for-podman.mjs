// docker-compose.yml for Debian's podman-compose, which does not know all of it.
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { parse } from 'yaml';

/** @typedef {Record<string, any>} Service */

/**
 * Returns the services as Compose would run them, with the paths of the checkout, and without profiles, host-gateway, network_mode and healthchecks.
 * @param {{ folder: string, work: string, dev?: boolean, environment?: Record<string, string>, withHealthchecks?: boolean }} options
 * @returns {Record<string, Service>}
 */
export function composeServices({ folder, work, dev = false, environment = {}, withHealthchecks = false }) {
  // Compose reads .env once, before it starts anything.
  const envFile = join(work, 'env-as-read');
  const hasEnvFile = existsSync(join(folder, '.env'));
  if (hasEnvFile) cpSync(join(folder, '.env'), envFile);
  const variables = { ...(hasEnvFile ? parseEnv(readFileSync(envFile, 'utf8')) : {}), ...environment };
  const read = (name) => {
    const text = readFileSync(join(folder, name), 'utf8');
    // podman-compose takes an empty value for one.
    const filled = text.replace(/\$\{(\w+):-([^}]*)\}/g, (_, variable, value) => variables[variable] || value);
    return parse(filled, { merge: true }).services;
  };
  const overlay = dev ? read('docker-compose.dev.yml') : {};
  const services = {};
  for (const [name, base] of Object.entries(read('docker-compose.yml'))) {
    if (base.profiles !== undefined) continue;
    const {
      healthcheck,
      extra_hosts: _e,
      depends_on: _d,
      build: _b,
      network_mode: _n,
      env_file: files,
      ...known
    } = merge(base, overlay[name]);
    services[name] = {
      ...known,
      ...(known.environment === undefined ? {} : { environment: resolved(known.environment, variables) }),
      image: `localhost/${known.image}`,
      ...(files !== undefined && hasEnvFile ? { env_file: envFile } : {}),
      ...(withHealthchecks ? { healthcheck } : {}),
    };
  }
  return services;
}

/** Returns an environment as Compose passes it: what has no value has that of .env, or is not there. @param {Record<string, string | null>} environment @param {Record<string, string | undefined>} variables */
function resolved(environment, variables) {
  const entries = Object.entries(environment).map(([name, value]) => [name, value ?? variables[name]]);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

/** As Compose merges two files: volumes by where they are mounted, other lists one after the other. @param {Service} base @param {Service} over */
function merge(base, over = {}) {
  const merged = { ...base, ...over };
  for (const [key, value] of Object.entries(over)) {
    const before = base[key];
    if (key === 'volumes')
      merged[key] = [...new Map([...(before ?? []), ...value].map((each) => [targetOf(each), each])).values()];
    else if (key === 'command') merged[key] = value;
    else if (Array.isArray(value)) merged[key] = [...(before ?? []), ...value];
    else if (typeof value === 'object' && typeof before === 'object') merged[key] = merge(before, value);
  }
  return merged;
}

const targetOf = (volume) => volume.split(':')[1];
