import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { startFakeProvider } from '../support/fake-provider.ts';
import { keys, startStack } from '../support/stack.ts';

it.each(['OLLAMA', 'LITELLM'])(
  '%s is found where it is looked for, and is named by the default, which it does not become',
  async (name) => {
    const provider = await startFakeProvider(async (call) => {
      await call.text('Found');
      await call.finish();
    });
    const variables = { [`LLM_PROXY__${name}_DISCOVERY_URL`]: provider.url.replace(/\/v1$/, '') };
    const stack = await startStack({ variables });
    try {
      const headers = { 'x-internal-auth': keys.llmProxy };
      const response = await fetch(`${stack.llmProxy.url}/v1/models`, { headers });
      const { data } = (await response.json()) as { data: Array<{ id: string }> };
      const model = `${name.toLowerCase()}/fake-1`;
      expect(data.map(({ id }) => id)).toContain(model);
      const ask = async (chosen: string) => {
        const session = await stack.client().sessions.create({ model: chosen });
        return (await session.send('hi').finished()).text;
      };
      expect(await ask(model)).toBe('Found');
      const byDefault = await ask('default');
      expect(byDefault).toContain('builtin/agent');
      expect(byDefault).toContain(`These models were found here: ${model}.`);
      expect(byDefault).toContain(`LLM_PROXY__DEFAULT_MODEL=${model}`);
    } finally {
      await stack.close();
      await provider.close();
    }
  },
);

it('gpt-4 where Anthropic alone is configured is refused by the names that there are, and is not sent', async () => {
  const asked: string[] = [];
  const anthropic = createServer((request, response) => {
    asked.push(`${request.method} ${request.url?.split('?')[0]}`);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ data: [{ id: 'claude-x' }, { id: 'claude-y' }], has_more: false }));
  });
  await new Promise<void>((resolve) => anthropic.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(anthropic.address() as AddressInfo).port}`;
  const stack = await startStack({ variables: { LLM_PROXY__ANTHROPIC_BASE_URL: url } });
  try {
    const response = await fetch(`${stack.llmProxy.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'x-internal-auth': keys.llmProxy },
      body: JSON.stringify({ model: 'gpt-4', messages: [{ role: 'user', content: 'hi' }] }),
    });
    expect(response.status).toBe(404);
    expect(await response.text()).toContain('has claude-x, claude-y. \\"default\\" is anthropic/claude-x.');
    expect(new Set(asked)).toEqual(new Set(['GET /v1/models']));
  } finally {
    await stack.close();
    anthropic.closeAllConnections();
    await new Promise((resolve) => anthropic.close(resolve));
  }
});
