/** The settings of our own services and clients: some are keys, or addresses with passwords. */
const OURS = /^(GATEWAY|AGENT_RUNTIME|LLM_PROXY)__|^CODELAB_/i;
/** The usual forms of names of model providers' keys: there are new providers each month. */
const KEYS = /(^|_)(API|ADMIN|MASTER)_KEYS?(_?\d+)?$|(^|_)(AUTH|OAUTH)_TOKEN$/i;
/** Keys of model providers with other names. */
const OTHERS = /^(HF_TOKEN|HUGGING_?FACE_?(HUB_)?(API_)?TOKEN|REPLICATE_API_TOKEN|AWS_BEARER_TOKEN_BEDROCK)$/i;

/**
 * Removes from an environment our own settings, and variables named like the key of a model provider: `…_API_KEY`, `…_AUTH_TOKEN`, `…_OAUTH_TOKEN` and some
 * others. Keys of other services with such names go, too; pass `env` to `workspaceTools` to keep one.
 */
export function commandEnvironment(env: Record<string, string | undefined>): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => ![OURS, KEYS, OTHERS].some((kind) => kind.test(name))),
  );
}
