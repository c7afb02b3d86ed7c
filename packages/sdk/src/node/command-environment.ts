/** The settings of our own services, some of them keys and addresses with passwords, and what our clients are given. */
const OURS = /^(GATEWAY|AGENT_RUNTIME|LLM_PROXY)__|^CODELAB_/i;
/** What stands for money, and is worth nothing to a build or a test of most. */
const PROVIDERS =
  /^(OPENAI|ANTHROPIC|AZURE_OPENAI|GEMINI|GOOGLE|MISTRAL|DEEPSEEK|GROQ|XAI|OPENROUTER|COHERE|LITELLM)_(API|ADMIN|MASTER)_KEY$/i;

/** An environment without what looks like a key of ours or of a model provider. */
export function commandEnvironment(env: Record<string, string | undefined>): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !OURS.test(name) && !PROVIDERS.test(name)));
}
