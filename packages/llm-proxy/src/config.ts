import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';

const ProviderId = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,39}$/, 'a provider is named by small letters, digits and hyphens');

const Route = z.strictObject({
  /** `provider/model`. */
  model: z.string().min(1),
  /** How often it is chosen first, against the others. */
  weight: z.number().positive().max(1000).default(1),
});

const Alias = z.union(
  [
    z.string().min(1),
    z.strictObject({
      routes: z.array(Route).min(1, 'must have at least one route'),
      fallbacks: z.array(z.string().min(1)).default([]),
    }),
  ],
  'must be a model, or {routes: [{model, weight}], fallbacks: [model]}',
);

/** `llm-proxy.config.yaml`: more providers, and names of one's own for models. */
export const Config = z.strictObject({
  /** Servers that speak OpenAI's wire, by the name that their models get: `<name>/<model>`. */
  providers: z
    .record(
      ProviderId,
      z.strictObject({
        /** With its `/v1`. */
        base_url: z.url({ protocol: /^https?$/, error: 'must be a URL that starts with http:// or https://' }),
        /** The variable of the environment that has its key. Keys themselves don't belong into the file. */
        api_key_env: z.string().min(1).optional(),
      }),
    )
    .default({}),
  models: z.record(z.string().min(1).max(200), Alias).default({}),
});
export type Config = z.infer<typeof Config>;

/** What is wrong with a configuration file, each mistake with its line. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly mistakes: string[]) {
    super(mistakes.join('\n'));
  }
}

/** Throws `ConfigError`. */
export function parseConfig(text: string, file: string): Config {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const at = (offset: number | undefined) => `${file}:${offset === undefined ? 1 : lines.linePos(offset).line}`;
  if (document.errors.length > 0) {
    throw new ConfigError(document.errors.map((error) => `${at(error.pos[0])}: ${error.message.split('\n')[0]}`));
  }
  const result = Config.safeParse(document.toJS() ?? {});
  if (result.success) return result.data;
  throw new ConfigError(
    result.error.issues.map(
      ({ path, message }) => `${at(offsetOf(document, path))}: ${path.join('.') || 'the file'}: ${message}`,
    ),
  );
}

/** Where a path stands in the text: the nearest node above it that exists. */
function offsetOf(document: ReturnType<typeof parseDocument>, path: PropertyKey[]): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true) as { range?: [number, number, number] } | undefined;
    if (node?.range !== undefined) return node.range[0];
  }
  return undefined;
}
