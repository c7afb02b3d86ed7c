// The whole chain (SDK → gateway → agent-runtime → llm-proxy → a fake provider) beside a raw WebSocket relay of three hops to the same
// provider, and beside the provider asked directly. In turns, in one run. Bounded to two minutes.
import { mkdtempSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { createClient } from '../packages/sdk/dist/index.js';
import { median, ms, print, quantile, root, start, startServices, stopAll, table, times, verdict } from './common.mjs';
import { makeLargeSession } from './large-session.mjs';

const KEY = 'bench-key-bench-key';
const FIRST_ROUNDS = 200;
/** A session's history goes to the model again with each message. */
const MESSAGES_A_SESSION = 10;
const STREAMS = 256;
const CHUNKS = 200;
const FLOODS = 8;
const FLOOD_CHUNKS = 4_000;
const FLOOD_ROUNDS = 3;
const LARGE = 100_000;
const LARGE_ROUNDS = 100;
const shapes = { quick: '/4/0', slow: `/${CHUNKS}/20s`, flood: `/${FLOOD_CHUNKS}/0` };

const now = () => performance.timeOrigin + performance.now();
/** How old the stamps in a text are. */
const agesOf = (text) => [...text.matchAll(/@([\d.]+)@/g)].map(([, written]) => now() - Number(written));

export async function run() {
  const began = performance.now();
  const provider = start('./provider.mjs');
  const at = `http://127.0.0.1:${await provider.port}`;
  let relayed = at;
  for (let hop = 0; hop < 3; hop++) relayed = `ws://127.0.0.1:${await start('./relay.mjs', {}, relayed).port}`;

  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  makeLargeSession(join(folder, 'agent-runtime.db'), 'large', LARGE);
  const config = `providers:\n${Object.entries(shapes)
    .map(([name, shape]) => `  ${name}: { base_url: ${at}${shape}/v1 }\n`)
    .join('')}`;
  const { url, services } = await startServices({ tree: root, folder, config, key: KEY });

  const client = createClient({ url, token: KEY });
  const socket = new WebSocket(relayed, { perMessageDeflate: false });
  await new Promise((resolve) => socket.once('open', resolve));
  const listeners = new Map();
  socket.on('message', (message) => {
    const text = String(message);
    const space = text.indexOf(' ');
    listeners.get(text.slice(0, space))(text.slice(space + 1));
  });
  let ids = 0;
  let session;
  let sent = 0;

  /** Each way takes a shape and tells of each text; resolves with when the first one came. */
  const ways = {
    direct: (shape, onText) =>
      new Promise((resolve, reject) => {
        const started = performance.now();
        let first;
        const asked = request(`${at}${shapes[shape]}/v1/chat/completions`, { method: 'POST' }, (answer) => {
          answer.setEncoding('utf8');
          answer.on('data', (text) => {
            first ??= performance.now() - started;
            onText(text);
          });
          answer.on('end', () => resolve(first));
        });
        asked.on('error', reject);
        asked.end('{"stream":true}');
      }),
    relay: (shape, onText) =>
      new Promise((resolve) => {
        const started = performance.now();
        let first;
        const id = String(ids++);
        listeners.set(id, (event) => {
          if (event === 'end') {
            listeners.delete(id);
            resolve(first);
            return;
          }
          first ??= performance.now() - started;
          onText(event);
        });
        socket.send(`${id} ${shapes[shape]}/v1/chat/completions`);
      }),
    async chain(shape, onText, own) {
      const started = performance.now();
      let first;
      for await (const token of own.send('Hello!', { model: `${shape}/fake-1` }).textStream) {
        first ??= performance.now() - started;
        onText(token);
      }
      return first;
    },
  };
  const freshSession = async () => {
    if (sent++ % MESSAGES_A_SESSION === 0) session = await client.sessions.create();
    return session;
  };
  const nothing = () => {};

  try {
    for (let round = 0; round < 60; round++)
      for (const ask of Object.values(ways)) await ask('quick', nothing, await freshSession());

    print('First token, one message at a time: added to asking the provider directly');
    const firsts = { direct: [], relay: [], chain: [] };
    const names = Object.keys(ways);
    for (let round = 0; round < FIRST_ROUNDS; round++) {
      for (let place = 0; place < names.length; place++) {
        const name = names[(place + round) % names.length];
        const own = await freshSession();
        firsts[name].push(await ways[name]('quick', nothing, own));
      }
    }
    const added = (name) => firsts[name].map((value, round) => value - firsts.direct[round]);
    const [p50, p95] = [median(added('chain')), quantile(added('chain'), 0.95)];
    table([
      ['', 'p50', 'p95', ''],
      ['direct, in all', ms(median(firsts.direct)), ms(quantile(firsts.direct, 0.95))],
      ['relay', ms(median(added('relay'))), ms(quantile(added('relay'), 0.95))],
      ['chain', ms(p50), ms(p95), `p50 ${verdict(p50, 4)}, p95 ${verdict(p95, 10)}`],
    ]);

    print(`${STREAMS} streams, a token each 20 ms, ${CHUNKS} tokens: from the provider's write to the reader`);
    const rows = [['', 'p50', 'p95', 'max', '']];
    const cpuNow = async () => [
      ...(await Promise.all(services.map(async ({ name, cpu }) => ({ who: name, cpu: (await cpu()).cpu })))),
      { who: 'the reader', cpu: process.cpuUsage().user + process.cpuUsage().system },
    ];
    let cpuLine = '';
    for (const name of names) {
      const ages = [];
      const own =
        name === 'chain' ? await Promise.all(Array.from({ length: STREAMS }, () => client.sessions.create())) : [];
      const before = await cpuNow();
      await Promise.all(
        Array.from({ length: STREAMS }, (_, index) =>
          ways[name]('slow', (text) => ages.push(...agesOf(text)), own[index]),
        ),
      );
      if (name === 'chain') {
        const after = await cpuNow();
        cpuLine = after
          .map(({ who, cpu }, index) => `${who} ${((cpu - before[index].cpu) / ages.length).toFixed(0)} µs`)
          .join(', ');
      }
      const tail = quantile(ages, 0.95);
      rows.push([
        name,
        ms(median(ages)),
        ms(tail),
        ms(quantile(ages, 1)),
        name === 'chain' ? `p95 ${verdict(tail, 8)}` : '',
      ]);
    }
    table(rows);
    print(`  CPU a token: ${cpuLine}\n`);

    print(`${FLOODS} streams of ${FLOOD_CHUNKS} tokens at once: tokens a second`);
    const speeds = { relay: [], chain: [] };
    for (let round = 0; round < FLOOD_ROUNDS; round++) {
      for (const name of Object.keys(speeds)) {
        const own = await Promise.all(Array.from({ length: FLOODS }, () => client.sessions.create()));
        const started = performance.now();
        await Promise.all(own.map((one) => ways[name]('flood', nothing, one)));
        speeds[name].push((FLOODS * FLOOD_CHUNKS * 1000) / (performance.now() - started));
      }
    }
    const ratio = median(speeds.chain.map((value, round) => value / speeds.relay[round]));
    table([
      ['', 'tokens/s', 'to the relay', ''],
      ['relay', median(speeds.relay).toFixed(0), times(1)],
      [
        'chain',
        median(speeds.chain).toFixed(0),
        times(ratio),
        ratio >= 0.5 ? 'reached (target ≥ 0.5)' : 'NOT REACHED (target ≥ 0.5)',
      ],
    ]);
    print(`\nA session of ${LARGE} items beside an empty one`);
    const large = await client.sessions.get('large');
    const agent = new Agent({ keepAlive: true });
    /** How long a call of REST takes, until its answer is whole. */
    const rest = (method, path, body) =>
      new Promise((resolve, reject) => {
        const started = performance.now();
        const headers = { authorization: `Bearer ${KEY}` };
        const asked = request(`${url}/api/v1${path}`, { method, headers, agent }, (answer) => {
          if (answer.statusCode >= 300) reject(new Error(`${method} ${path}: ${answer.statusCode}`));
          answer.resume();
          answer.on('end', () => resolve(performance.now() - started));
        });
        asked.on('error', reject);
        asked.end(body === undefined ? undefined : JSON.stringify(body));
      });
    const { nextCursor } = await large.items({ limit: 50 });
    // A page of fifty of a session that has no more than that.
    const small = await client.sessions.create();
    for (let count = 0; count < 25; count++) await small.send('Hello! '.repeat(20)).finished();
    const page = { large: [], empty: [] };
    const input = { large: [], empty: [] };
    const answer = { large: [], empty: [] };
    for (let round = 0; round < LARGE_ROUNDS; round++) {
      for (const name of round % 2 === 0 ? ['large', 'empty'] : ['empty', 'large']) {
        const own = name === 'large' ? large : await client.sessions.create();
        const { id } = own;
        const inputId = `bench-${round}`;
        input[name].push(await rest('POST', `/sessions/${id}/inputs`, { inputId, content: 'Hello!' }));
        await own.send('Hello!', { inputId }).finished();
        const started = performance.now();
        for await (const _ of own.send('Hello!').textStream) {
          answer[name].push(performance.now() - started);
          break;
        }
        await own.send('Hello!', { inputId: `end-${round}` }).finished();
        if (name === 'large') page.large.push(await rest('GET', `/sessions/${id}/items?limit=50&cursor=${nextCursor}`));
      }
      page.empty.push(await rest('GET', `/sessions/${small.id}/items?limit=50`));
    }
    const to = (values) => median(values.large.map((value, round) => value / values.empty[round]));
    const ratioOf = (values) => `${to(values) <= 1.5 ? 'reached' : 'NOT REACHED'} (target ≤ 1.5)`;
    table([
      ['', 'large', 'empty', 'ratio', ''],
      ['a page of 50', ms(median(page.large)), ms(median(page.empty)), times(to(page)), ratioOf(page)],
      [
        'an input, until it is stored',
        ms(median(input.large)),
        ms(median(input.empty)),
        times(to(input)),
        ratioOf(input),
      ],
      ['its first token', ms(median(answer.large)), ms(median(answer.empty)), times(to(answer)), ''],
    ]);
    agent.destroy();
    print(`${((performance.now() - began) / 1000).toFixed(0)} s`);
  } finally {
    client.close();
    socket.terminate();
    stopAll();
  }
}
