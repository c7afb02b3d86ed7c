/** The settings of our own services, some of them keys and addresses with passwords, and what our clients are given. */
const OURS = /^(GATEWAY|AGENT_RUNTIME|LLM_PROXY)__|^CODELAB_/i;
/** Keys as model providers and their tools call them: there are new ones each month, so that the form of a name is enough. */
const KEYS = /(^|_)(API|ADMIN|MASTER)_KEYS?(_?\d+)?$|(^|_)(AUTH|OAUTH)_TOKEN$/i;
/** Those that are called otherwise. */
const OTHERS = /^(HF_TOKEN|HUGGING_?FACE_?(HUB_)?(API_)?TOKEN|REPLICATE_API_TOKEN|AWS_BEARER_TOKEN_BEDROCK)$/i;

/**
 * Leaves out of an environment what is ours, and what looks like the key of a model provider: `…_API_KEY`, `…_AUTH_TOKEN`, `…_OAUTH_TOKEN` and some
 * names. Keys of other services that are called so go with them; whoever wants one in commands gives `env` to `workspaceTools`.
 */
export function commandEnvironment(env: Record<string, string | undefined>): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => ![OURS, KEYS, OTHERS].some((kind) => kind.test(name))),
  );
}
