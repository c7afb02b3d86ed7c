import { expect, it } from 'vitest';
import { startFakeProvider } from '../support/fake-provider.ts';
import { keys, startStack } from '../support/stack.ts';

it.each(['OLLAMA', 'LITELLM'])('%s is found where it is looked for, and does not become the default', async (name) => {
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
    expect(await ask('default')).not.toBe('Found');
  } finally {
    await stack.close();
    await provider.close();
  }
});
