// llm-proxy beside the same request sent directly, and through a raw node:http pipe. Rounds are interleaved (A B C A B C …), ratios and
// differences are taken within a round, and their medians are printed. Bounded to two minutes.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTRPCClient, createWSClient, wsLink } from '@trpc/client';
import superjson from 'superjson';
import { Agent } from 'undici';
import { WebSocket } from 'ws';
import { anyPort, healthy, median, ms, print, quantile, start, stopAll, table, times, us, verdict } from './common.mjs';

const KEY = 'bench-key-bench-key';
const FIRST_ROUNDS = 250;
const JSON_ROUNDS = 7;
const JSON_REQUESTS = 3_000;
const LARGE_REQUESTS = 150;
const CHUNK_ROUNDS = 3;
const CHUNK_STREAMS = 256;
const CHUNKS = 200;
const MANY_STREAMS = 1_024;
const CANCELS = 100;
const DEADLINE_MS = 115_000;

const agent = new Agent({ headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: 60_000 });
const headers = {
  'content-type': 'application/json',
  'x-internal-auth': KEY,
  authorization: `Bearer ${KEY}`,
  'x-api-key': KEY,
};

/** Sends one request. Resolves with when the first event and the last byte came, and how late the last text was. Milliseconds. */
function ask(origin, path, body) {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    let first = 0;
    let tail = '';
    let status = 0;
    agent.dispatch(
      { origin, path, method: 'POST', headers, body },
      {
        onRequestStart() {},
        onResponseStart(_controller, code) {
          status = code;
        },
        onResponseData(_controller, bytes) {
          if (first === 0) first = performance.now() - started;
          tail = bytes.toString('latin1');
        },
        onResponseEnd() {
          const ended = performance.now();
          if (status !== 200) return reject(new Error(`${origin}${path} answered ${status}: ${tail}`));
          const written = /@([\d.]+)@/.exec(tail)?.[1];
          const late = written === undefined ? undefined : performance.timeOrigin + ended - Number(written);
          resolve({ first, total: ended - started, late });
        },
        onResponseError: (_controller, error) => reject(error),
      },
    );
  });
}

/** Sends a request, leaves after its first event, and resolves with how long the provider did not know. Milliseconds. */
async function leave(provider, origin, path, body) {
  const aborted = provider.answer('aborted');
  const left = await new Promise((resolve, reject) => {
    agent.dispatch(
      { origin, path, method: 'POST', headers, body },
      {
        onRequestStart() {},
        onResponseStart() {},
        onResponseData(controller) {
          controller.abort(new Error('left'));
          resolve(performance.timeOrigin + performance.now());
        },
        onResponseEnd: () => reject(new Error('the stream has ended')),
        onResponseError() {},
      },
    );
  });
  return (await aborted).aborted - left;
}

export async function run() {
  const began = performance.now();
  const left = () => DEADLINE_MS - (performance.now() - began);
  const bodyOf = (stream, model, text = 'Hello!') =>
    `{"stream":${stream},"model":"${model}","max_tokens":100,"messages":[{"role":"user","content":${JSON.stringify(text)}}]}`;

  const provider = start('./provider.mjs');
  const at = `http://127.0.0.1:${await provider.port}`;
  const pipe = start('./pipe.mjs', {}, at);
  const proxyPort = anyPort();
  // Each shape of stream is a provider of its own in the settings, for the fake one reads the shape from the path.
  const config = ['0', '20']
    .map(
      (pause) =>
        `  openai${pause}: { base_url: ${at}/${pause === '0' ? 4 : CHUNKS}/${pause}/v1 }\n` +
        `  anthropic${pause}: { kind: anthropic, base_url: ${at}/${pause === '0' ? 4 : CHUNKS}/${pause} }\n`,
    )
    .join('');
  const configFile = join(mkdtempSync(join(tmpdir(), 'bench-')), 'config.yaml');
  writeFileSync(configFile, `providers:\n${config}`);
  const proxy = start('../packages/llm-proxy/dist/main.js', {
    LLM_PROXY__PORT: String(proxyPort),
    LLM_PROXY__INTERNAL_API_KEY: KEY,
    LLM_PROXY__CONFIG: configFile,
    LLM_PROXY__LOG_LEVEL: 'info',
  });
  const proxied = `http://127.0.0.1:${proxyPort}`;
  const piped = `http://127.0.0.1:${await pipe.port}`;
  await healthy(proxied);
  const sockets = createWSClient({
    url: `${proxied.replace('http', 'ws')}/trpc`,
    WebSocket,
    connectionParams: { token: KEY },
  });
  const trpc = createTRPCClient({ links: [wsLink({ client: sockets, transformer: superjson })] });
  const askByRpc = (model) =>
    new Promise((resolve, reject) => {
      const started = performance.now();
      let first = 0;
      let late;
      trpc.completion.stream.subscribe(
        { request: { model, max_tokens: 100, messages: [{ role: 'user', content: 'Hello!' }] } },
        {
          onData({ data }) {
            if (first === 0) first = performance.now() - started;
            if (data.type === 'error') reject(new Error(data.error.message));
            const written = data.type === 'text' ? /@([\d.]+)@/.exec(data.text)?.[1] : undefined;
            if (written !== undefined) late = performance.timeOrigin + performance.now() - Number(written);
          },
          onError: reject,
          onComplete: () => resolve({ first, total: performance.now() - started, late }),
        },
      );
    });

  const arms = (pause) => {
    const shape = `/${pause === 0 ? 4 : CHUNKS}/${pause}/v1/chat/completions`;
    const path = '/v1/chat/completions';
    return {
      direct: { ask: (stream, text) => ask(at, shape, bodyOf(stream, 'fake-1', text)) },
      pipe: { process: pipe, ask: (stream, text) => ask(piped, shape, bodyOf(stream, 'fake-1', text)) },
      'passed through': {
        process: proxy,
        ask: (stream, text) => ask(proxied, path, bodyOf(stream, `openai${pause}/fake-1`, text)),
      },
      translated: {
        process: proxy,
        ask: (stream, text) => ask(proxied, path, bodyOf(stream, `anthropic${pause}/fake-1`, text)),
      },
      tRPC: { process: proxy, ask: () => askByRpc(`openai${pause}/fake-1`) },
    };
  };

  try {
    // Warm: connections, and the compiler.
    const quick = arms(0);
    for (let round = 0; round < 100; round++) for (const arm of Object.values(quick)) await arm.ask(true);
    for (let round = 0; round < 100; round++)
      await Promise.all(
        ['pipe', 'passed through'].flatMap((name) => Array.from({ length: 32 }, () => quick[name].ask(false))),
      );

    print('First event, one stream at a time: added to the same request sent directly');
    const firsts = Object.fromEntries(Object.keys(quick).map((name) => [name, []]));
    for (let round = 0; round < FIRST_ROUNDS; round++) {
      // Each in each place: what follows another one may pay for what that one has left to do.
      const order = Object.entries(quick);
      for (let place = 0; place < order.length; place++) {
        const [name, arm] = order[(place + round) % order.length];
        firsts[name].push((await arm.ask(true)).first);
      }
    }
    const added = (name) => firsts[name].map((value, round) => value - firsts.direct[round]);
    table([
      ['', 'p50', 'p95', ''],
      ['direct, in all', ms(median(firsts.direct)), ms(quantile(firsts.direct, 0.95))],
      ...Object.keys(quick)
        .slice(1)
        .map((name) => {
          const values = added(name);
          const [p50, p95] = [median(values), quantile(values, 0.95)];
          return [
            name,
            ms(p50),
            ms(p95),
            name === 'passed through' ? `p50 ${verdict(p50, 0.6)}, p95 ${verdict(p95, 1.5)}` : '',
          ];
        }),
    ]);

    /** CPU of an arm's process for one unit of work. Microseconds. */
    const cpuOf = async (arm, units, work) => {
      const before = await arm.process.cpu();
      const started = performance.now();
      await work();
      const took = performance.now() - started;
      const after = await arm.process.cpu();
      return { cpu: (after.cpu - before.cpu) / units, perSecond: (units / took) * 1000, rss: after.rss };
    };
    const inParallel = async (count, width, work) => {
      let begun = 0;
      await Promise.all(
        Array.from({ length: width }, async () => {
          while (begun++ < count) await work();
        }),
      );
    };
    const compare = async (names, arms_, rounds, units, work) => {
      const results = Object.fromEntries(names.map((name) => [name, []]));
      for (let round = 0; round < rounds && left() > 25_000; round++)
        for (const name of names) results[name].push(await cpuOf(arms_[name], units, () => work(arms_[name])));
      return names.map((name) => ({
        name,
        cpu: median(results[name].map(({ cpu }) => cpu)),
        perSecond: median(results[name].map(({ perSecond }) => perSecond)),
        ratio: median(results[name].map(({ cpu }, round) => cpu / results[names[0]][round].cpu)),
        rounds: results[name].length,
      }));
    };

    print(`JSON requests, 32 at a time, ${JSON_REQUESTS} a round: CPU of the process in between`);
    const small = await compare(['pipe', 'passed through', 'translated'], quick, JSON_ROUNDS, JSON_REQUESTS, (arm) =>
      inParallel(JSON_REQUESTS, 32, () => arm.ask(false)),
    );
    const large = 'x'.repeat(1000).concat('"quoted"\n').repeat(307);
    const big = await compare(['pipe', 'passed through'], quick, 3, LARGE_REQUESTS, (arm) =>
      inParallel(LARGE_REQUESTS, 8, () => arm.ask(false, large)),
    );
    table([
      ['', 'CPU a request', 'to the pipe', 'requests/s', ''],
      ...small.map(({ name, cpu, ratio, perSecond }) => [
        name,
        us(cpu),
        times(ratio),
        perSecond.toFixed(0),
        name === 'passed through'
          ? verdict(Number(ratio.toFixed(2)), 2)
          : name === 'translated'
            ? 'asked as a stream, put together'
            : '',
      ]),
      ...big.map(({ name, cpu, ratio, perSecond }) => [
        `${name}, 310 KB`,
        us(cpu),
        times(ratio),
        perSecond.toFixed(0),
        '',
      ]),
    ]);

    print(`${CHUNK_STREAMS} streams, a chunk each 20 ms, ${CHUNKS} chunks: CPU of the process in between`);
    const slow = arms(20);
    const streamed = await compare(
      ['pipe', 'passed through', 'translated', 'tRPC'],
      slow,
      CHUNK_ROUNDS,
      CHUNK_STREAMS * CHUNKS,
      (arm) => Promise.all(Array.from({ length: CHUNK_STREAMS }, () => arm.ask(true))),
    );
    const targets = { 'passed through': 1.2, translated: 2 };
    table([
      ['', 'CPU a chunk', 'to the pipe', ''],
      ...streamed.map(({ name, cpu, ratio }) => [
        name,
        us(cpu),
        times(ratio),
        targets[name] === undefined ? '' : verdict(Number(ratio.toFixed(2)), targets[name]),
      ]),
    ]);

    print(
      `${MANY_STREAMS} streams, a chunk each 20 ms, ${CHUNKS} chunks: from the provider's last write to the client's last byte`,
    );
    const rows = [['', 'p50', 'p95', 'max', 'stream in all, max', '']];
    for (const name of ['direct', 'pipe', 'passed through']) {
      if (left() < 5_000) break;
      const results = await Promise.all(Array.from({ length: MANY_STREAMS }, () => slow[name].ask(true)));
      const lates = results.map(({ late }) => late);
      const max = Math.max(...lates);
      rows.push([
        name,
        ms(median(lates)),
        ms(quantile(lates, 0.95)),
        ms(max),
        ms(Math.max(...results.map(({ total }) => total))),
        name === 'passed through' ? `each on time: ${verdict(Number(max.toFixed(0)), 100)} ms` : '',
      ]);
    }
    table(rows);
    print(`${CANCELS} clients that leave in the middle of a stream: until the provider sees it`);
    const cancels = [['', 'p50', 'p95', 'max', '']];
    for (const [name, origin, path, model] of [
      ['direct', at, `/${CHUNKS}/20/v1/chat/completions`, 'fake-1'],
      ['pipe', piped, `/${CHUNKS}/20/v1/chat/completions`, 'fake-1'],
      ['passed through', proxied, '/v1/chat/completions', 'openai20/fake-1'],
      ['translated', proxied, '/v1/chat/completions', 'anthropic20/fake-1'],
    ]) {
      const took = [];
      for (let count = 0; count < CANCELS && left() > 2_000; count++)
        took.push(await leave(provider, origin, path, bodyOf(true, model)));
      const max = Math.max(...took);
      cancels.push([
        name,
        ms(median(took)),
        ms(quantile(took, 0.95)),
        ms(max),
        name === 'direct' || name === 'pipe' ? '' : verdict(Number(max.toFixed(0)), 50),
      ]);
    }
    table(cancels);
    print(`${((performance.now() - began) / 1000).toFixed(0)} s`);
  } finally {
    sockets.close();
    await agent.destroy();
    stopAll();
  }
}
