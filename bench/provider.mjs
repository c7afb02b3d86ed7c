// A fake provider that costs next to nothing: fixed bytes of OpenAI's and of Anthropic's wire, on a clock of its own.
// The path says how: /<chunks>/<ms between two>/v1/… ; 0 ms: all at once; 20s: every 20 ms, and each text is when it was written. The last text of a
// stream always is.
import { createServer } from 'node:http';

const SLOTS = 20;
const openai = (delta, finish = null) =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-AaBbCcDdEeFfGgHhIiJjKkLlMmNn',
    object: 'chat.completion.chunk',
    created: 1763700000,
    model: 'fake-1-2026-11-01',
    service_tier: 'default',
    system_fingerprint: 'fp_0123456789',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
  })}\n\n`;
const anthropic = (type, fields) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
const anthropicText = (text) => anthropic('content_block_delta', { index: 0, delta: { type: 'text_delta', text } });

const wires = {
  openai: {
    first: Buffer.from(openai({ role: 'assistant', content: '', refusal: null })),
    chunk: Buffer.from(openai({ content: ' token' })),
    last: () =>
      `${openai({ content: `@${performance.timeOrigin + performance.now()}@` })}${openai({}, 'stop')}data: ${JSON.stringify(
        {
          id: 'x',
          object: 'chat.completion.chunk',
          created: 1,
          model: 'fake-1',
          choices: [],
          usage: { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 },
        },
      )}\n\ndata: [DONE]\n\n`,
    json: Buffer.from(
      JSON.stringify({
        id: 'chatcmpl-1',
        object: 'chat.completion',
        created: 1,
        model: 'fake-1',
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: 'word '.repeat(100), refusal: null },
            logprobs: null,
            finish_reason: 'stop',
          },
        ],
        usage: { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 },
      }),
    ),
  },
  anthropic: {
    first: Buffer.from(
      `${anthropic('message_start', {
        message: {
          id: 'msg_1',
          type: 'message',
          role: 'assistant',
          model: 'fake-1',
          content: [],
          stop_reason: null,
          stop_sequence: null,
          usage: { input_tokens: 10, output_tokens: 1 },
        },
      })}${anthropic('content_block_start', { index: 0, content_block: { type: 'text', text: '' } })}`,
    ),
    chunk: Buffer.from(anthropicText(' token')),
    last: () =>
      `${anthropicText(`@${performance.timeOrigin + performance.now()}@`)}${anthropic('content_block_stop', { index: 0 })}${anthropic(
        'message_delta',
        { delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 20 } },
      )}${anthropic('message_stop', {})}`,
  },
};

/** Streams by the millisecond of their period that they write in, so that they don't all write at once. */
const slots = Array.from({ length: SLOTS }, () => new Set());
let slot = 0;
let next = performance.now();
setInterval(() => {
  // Catches up where a tick was late: the schedule is kept.
  for (const now = performance.now(); next <= now; next += 1) {
    slot = (slot + 1) % SLOTS;
    for (const stream of slots[slot]) tick(stream);
  }
}, 1);
let opened = 0;
const stamped = () => openai({ content: `@${performance.timeOrigin + performance.now()}@` });

function tick(stream) {
  if (stream.left-- > 1) stream.response.write(stream.isStamped ? stamped() : stream.wire.chunk);
  else {
    stream.slot.delete(stream);
    stream.response.end(stream.wire.last());
  }
}

const server = createServer((request, response) => {
  const [, chunks, ms] = request.url.split('/');
  const wire = request.url.endsWith('/messages') ? wires.anthropic : wires.openai;
  let body = '';
  const start = () => {
    if (request.url.endsWith('/models')) return response.end('{"object":"list","data":[{"id":"fake-1"}]}');
    if (!body.includes('"stream":true')) {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': wire.json.length });
      return response.end(wire.json);
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(wire.first);
    const stream = { response, wire, left: Number(chunks), isStamped: ms.endsWith('s'), slot: slots[opened++ % SLOTS] };
    if (ms === '0') {
      for (let count = 1; count < stream.left; count++) response.write(wire.chunk);
      response.end(wire.last());
    } else {
      stream.slot.add(stream);
      response.once('close', () => {
        stream.slot.delete(stream);
        if (!response.writableFinished) process.send({ aborted: performance.timeOrigin + performance.now() });
      });
    }
  };
  request.on('data', (bytes) => {
    // Where "stream" stands: at the beginning or at the end of what the benchmark sends.
    body =
      body.length < 400 ? body + bytes.toString('latin1') : body.slice(0, 200) + bytes.toString('latin1').slice(-200);
  });
  request.on('end', start);
});
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', 4096, () => process.send({ port: server.address().port }));
