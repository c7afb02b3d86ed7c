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
  /** Share of the requests that ask this route first, relative to the others. */
  weight: z.number().positive().max(1000).default(1),
});

const Alias = z.union(
  [
    z.string().min(1),
    z.strictObject({
      routes: z.array(Route).min(1, 'must have at least one route'),
      fallbacks: z.array(z.string().min(1)).default([]),
      /**
       * Time without a token until the next route is asked as well; the faster one answers. Milliseconds.
       * @default never
       */
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
  /**
   * Price of tokens read from the provider's cache.
   * @default as `input`
   */
  cached_input: usd.optional(),
  /**
   * Price of tokens written to the provider's cache.
   * @default as `input`
   */
  cache_write: usd.optional(),
});

const VirtualKey = z
  .strictObject({
    /** Environment variable with the key. */
    key_env: z.string().min(1).optional(),
    /** SHA-256 of the key, in hexadecimal, in place of `key_env`. */
    key_sha256: z
      .string()
      .regex(/^[0-9a-fA-F]{64}$/, 'must be 64 hexadecimal digits')
      .optional(),
    /**
     * Models that the key may ask for; `*` stands for any run of characters.
     * @default all
     */
    models: z.array(z.string().min(1)).optional(),
    requests_per_minute: count.optional(),
    tokens_per_minute: count.optional(),
    concurrent_streams: count.optional(),
    budget_usd_per_day: usd.optional(),
    budget_usd_per_month: usd.optional(),
  })
  .refine((key) => (key.key_env === undefined) !== (key.key_sha256 === undefined), 'must have key_env or key_sha256');
export type VirtualKey = z.infer<typeof VirtualKey>;

/** `llm-proxy.config.yaml`: providers, aliases for models, prices, virtual keys with limits, the response cache. */
export const Config = z.strictObject({
  /** Providers by id: their models are called `<id>/<model>`. */
  providers: z
    .record(
      ProviderId,
      z.strictObject({
        /** Wire of the provider. */
        kind: z.enum(['openai', 'anthropic', 'azure'], 'must be openai, anthropic or azure').default('openai'),
        /** Base URL: with its `/v1`; for `anthropic` without; for `azure` up to `/openai`. */
        base_url: z.url({ protocol: /^https?$/, error: 'must be a URL that starts with http:// or https://' }),
        /** Environment variable with the provider's key. Keys themselves do not belong in the file. */
        api_key_env: z.string().min(1).optional(),
        /** Azure's `api-version`, for models that are deployments; without it, Azure's newer `/openai/v1` is used. */
        api_version: z.string().min(1).optional(),
        /** Additional headers of each request. */
        headers: z.record(HeaderName, headerValue).default({}),
        /** False if the provider does not know `stream_options.include_usage`. */
        stream_usage: z.boolean().default(true),
        /**
         * True if the provider takes `prompt_cache_key`; of Anthropic's wire, `cache_control`.
         * @default true for `anthropic` and `azure`, false for `openai`
         */
        prompt_cache: z.boolean().optional(),
      }),
    )
    .default({}),
  models: z.record(z.string().min(1).max(200), Alias).default({}),
  /** Prices by `provider/model`; `*` stands for any run of characters. The first match counts. */
  prices: z.record(z.string().min(1), Price).default({}),
  /** Virtual keys by the name that logs and `/v1/usage` show. */
  keys: z
    .record(z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, 'a key is named by letters, digits, _ . -'), VirtualKey)
    .default({}),
  /**
   * Response cache: a request of the same bytes gets the same answer.
   * @default off
   */
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

/** Returns the offset of a path in the text, or of its nearest ancestor that is there. */
function offsetOf(document: ReturnType<typeof parseDocument>, path: PropertyKey[]): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true) as { range?: [number, number, number] } | undefined;
    if (node?.range !== undefined) return node.range[0];
  }
  return undefined;
}
