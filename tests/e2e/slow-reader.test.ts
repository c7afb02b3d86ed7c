import { connect, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { keys, startStack } from '../support/stack.ts';
import { useStory } from '../support/story.ts';

const story = useStory();

/** A raw WebSocket to `path` that asks, and then never reads. */
async function deafSocket(path: string, hello: string): Promise<Socket> {
  const socket = connect(story.stack.gateway.port, '127.0.0.1');
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Internal-Auth: ${keys.gateway}\r\n\r\n`,
  );
  await new Promise((resolve) => socket.once('data', resolve));
  const payload = Buffer.from(hello);
  const head =
    payload.length < 126
      ? Buffer.of(0x81, 0x80 | payload.length)
      : Buffer.of(0x81, 0x80 | 126, payload.length >> 8, payload.length & 255);
  socket.write(Buffer.concat([head, Buffer.alloc(4), payload]));
  socket.pause();
  return socket;
}

// 40 MB through all services, to three readers: it computes for some ten seconds.
it('slows neither the run nor another reader', { timeout: 90_000 }, async () => {
  const client = story.stack.client();
  const session = await client.sessions.create({ sessionId: 'slow-reader' });
  const subscribe = {
    id: 1,
    method: 'subscription',
    params: { path: 'session.events', input: { json: { sessionId: session.id } } },
  };
  const deaf = [
    await deafSocket('/trpc', JSON.stringify(subscribe)),
    await deafSocket('/ws/slow-reader', JSON.stringify({ type: 'user_message', content: 'go' })),
  ];
  const call = await story.provider.next();
  const watcher = session.events({ from: 'start' })[Symbol.asyncIterator]();
  const nextEvent = async () => {
    const { value, done } = await watcher.next();
    if (done) throw new Error('the watcher has ended');
    return value;
  };

  // 40 MB: far more than the limits (4 MiB a subscriber, 1 MiB a socket: stream-queue.test.ts, backpressure.test.ts) and what the kernel holds.
  const piece = 'x'.repeat(100_000);
  let read = 0;
  for (let sent = 0; sent < 400; sent++) {
    await call.text(piece);
    while (read < (sent + 1) * piece.length) {
      const event = await nextEvent();
      if (event.type === 'item.delta') read += event.text.length;
    }
  }
  await call.finish();
  while ((await nextEvent()).type !== 'run.finished');
  expect(read).toBe(400 * piece.length);
  for (const socket of deaf) socket.destroy();
});

it.each(['openai/gpt-x', 'anthropic/claude-x'])(
  'of a stream of llm-proxy makes the provider wait (%s), and loses nothing',
  async (model) => {
    const url = story.provider.url.replace('/v1', '');
    await story.stack.close();
    story.stack = await startStack({
      providerUrl: story.provider.url,
      variables: { LLM_PROXY__ANTHROPIC_BASE_URL: url, LLM_PROXY__ANTHROPIC_API_KEY: 'k' },
    });
    const response = fetch(`${story.stack.llmProxy.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'x-internal-auth': keys.llmProxy },
      body: JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: 'go' }] }),
    });
    const call = await story.provider.next();
    const piece = 'x'.repeat(100_000);
    const pieces = 600;
    let sent = 0;
    const sending = (async () => {
      if (model.startsWith('anthropic')) await call.event('message_start', { message: { model, usage: {} } });
      for (; sent < pieces; sent++) {
        if (model.startsWith('openai')) await call.text(piece);
        else await call.event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: piece } });
      }
      if (model.startsWith('openai')) return call.finish();
      await call.event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: {} });
      await call.event('message_stop');
      call.response.end();
    })();
    let text = '';
    let received = 0;
    let ahead = 0;
    for await (const bytes of (await response).body as unknown as AsyncIterable<Uint8Array>) {
      received += bytes.length;
      ahead = Math.max(ahead, sent * piece.length - received);
      text += Buffer.from(bytes).toString('latin1').replaceAll('x', '');
      // Gives everybody else several turns for each piece that it takes itself.
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    await sending;
    expect(received).toBeGreaterThan(pieces * piece.length);
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
    // What both sockets' buffers in the kernel hold, and the limits of ours.
    expect(ahead).toBeLessThan(25_000_000);
  },
);
