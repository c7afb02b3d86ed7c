import { headerValue, MAX_TIMER_MS, SettingsError } from '@codelab/service-kit';
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';

const ProviderId = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,39}$/, 'a provider is named by small letters, digits and hyphens');

const HeaderName = z.string().regex(/^[\w!#$%&'*+.^`|~-]+$/, 'is no name of a header');

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
      /** After so long without a token the next route is asked as well, and the faster one answers. Milliseconds; default: never. */
      hedge_after_ms: z.int().positive().max(MAX_TIMER_MS, `must be at most ${MAX_TIMER_MS}`).optional(),
    }),
  ],
  'must be a model, or {routes: [{model, weight}], fallbacks: [model], hedge_after_ms}',
);

const usd = z.number().nonnegative();
const count = z.int().positive();

/** US dollars for a million tokens. */
const Price = z.strictObject({
  input: usd,
  output: usd,
  /** What was read from the provider's cache. Default: as `input`. */
  cached_input: usd.optional(),
  /** What was written to it. Default: as `input`. */
  cache_write: usd.optional(),
});

const VirtualKey = z
  .strictObject({
    /** The variable of the environment that has the key. */
    key_env: z.string().min(1).optional(),
    /** Or the key's SHA-256, in hexadecimal. */
    key_sha256: z
      .string()
      .regex(/^[0-9a-fA-F]{64}$/, 'must be 64 hexadecimal digits')
      .optional(),
    /** What it may ask for: names of models, `*` stands for anything. Default: everything. */
    models: z.array(z.string().min(1)).optional(),
    requests_per_minute: count.optional(),
    tokens_per_minute: count.optional(),
    concurrent_streams: count.optional(),
    budget_usd_per_day: usd.optional(),
    budget_usd_per_month: usd.optional(),
  })
  .refine((key) => (key.key_env === undefined) !== (key.key_sha256 === undefined), 'must have key_env or key_sha256');
export type VirtualKey = z.infer<typeof VirtualKey>;

/** `llm-proxy.config.yaml`: more providers, names of one's own for models, prices, keys with limits, the response cache. */
export const Config = z.strictObject({
  /** Servers by the name that their models get: `<name>/<model>`. */
  providers: z
    .record(
      ProviderId,
      z.strictObject({
        /** The wire that it speaks. */
        kind: z.enum(['openai', 'anthropic', 'azure'], 'must be openai, anthropic or azure').default('openai'),
        /** With its `/v1`; Anthropic's without; Azure's up to `/openai`. */
        base_url: z.url({ protocol: /^https?$/, error: 'must be a URL that starts with http:// or https://' }),
        /** The variable of the environment that has its key. Keys themselves don't belong into the file. */
        api_key_env: z.string().min(1).optional(),
        /** Azure's `api-version`, where models are deployments: without it, Azure's newer `/openai/v1` is spoken. */
        api_version: z.string().min(1).optional(),
        /** More headers for each request. */
        headers: z.record(HeaderName, headerValue).default({}),
        /** Whether it knows `stream_options.include_usage`. */
        stream_usage: z.boolean().default(true),
      }),
    )
    .default({}),
  models: z.record(z.string().min(1).max(200), Alias).default({}),
  /** By `provider/model`, `*` stands for anything; the first that fits counts. */
  prices: z.record(z.string().min(1), Price).default({}),
  /** Virtual keys, by the name that logs and `/v1/usage` know them by. */
  keys: z
    .record(z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, 'a key is named by letters, digits, _ . -'), VirtualKey)
    .default({}),
  /** Keeps answers, and gives them again to whoever asks for exactly the same. Default: no. */
  cache: z
    .strictObject({
      ttl_seconds: count,
      max_bytes: count.default(64 * 1024 * 1024),
    })
    .optional(),
});
export type Config = z.infer<typeof Config>;

/** Throws `SettingsError`. */
export function parseConfig(text: string, file: string): Config {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const at = (offset: number | undefined) => `${file}:${offset === undefined ? 1 : lines.linePos(offset).line}`;
  if (document.errors.length > 0) {
    throw new SettingsError(document.errors.map((error) => `${at(error.pos[0])}: ${error.message.split('\n')[0]}`));
  }
  const result = Config.safeParse(document.toJS() ?? {});
  if (result.success) return result.data;
  throw new SettingsError(
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
