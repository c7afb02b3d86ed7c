/** Names a provider, in place of `ProviderNames` of llm-proxy, and hides nothing. */
export const plainNames = {
  name: 'Provider',
  keyVariable: 'KEY',
  urlVariable: 'URL',
  redact: (text: string) => text,
  censor: (bytes: Buffer) => bytes,
};
