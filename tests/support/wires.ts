import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, beforeAll } from 'vitest';
import { type FakeProvider, type ProviderCall, startFakeProvider } from './fake-provider.ts';
import { keys, type Stack, startStack } from './stack.ts';

/** What the tests of a file share: one provider that speaks both wires, and the official clients, pointed at llm-proxy before it. */
export interface Wires {
  /** As OpenAI's at its URL, as Anthropic's without the `/v1`. */
  provider: FakeProvider;
  stack: Stack;
  openai: OpenAI;
  anthropic: Anthropic;
  /** How the provider answers the next requests. */
  answer: (call: ProviderCall) => Promise<void> | void;
}

export function useWires(variables: Record<string, string> = {}): Wires {
  const wires = {} as Wires;
  beforeAll(async () => {
    wires.provider = await startFakeProvider((call) => wires.answer(call));
    wires.stack = await startStack({
      providerUrl: wires.provider.url,
      variables: {
        LLM_PROXY__ANTHROPIC_BASE_URL: wires.provider.url.replace('/v1', ''),
        LLM_PROXY__ANTHROPIC_API_KEY: 'k',
        LLM_PROXY__BREAKER_FAILURES: '0',
        ...variables,
      },
    });
    const { url } = wires.stack.llmProxy;
    wires.openai = new OpenAI({ maxRetries: 0, baseURL: `${url}/v1`, apiKey: keys.llmProxy });
    wires.anthropic = new Anthropic({ maxRetries: 0, baseURL: url, apiKey: keys.llmProxy });
  });
  afterAll(async () => {
    await wires.stack.close();
    await wires.provider.close();
  });
  return wires;
}
