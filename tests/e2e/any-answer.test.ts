import Anthropic from '@anthropic-ai/sdk';
import fc from 'fast-check';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { anthropicAnswers, startOf } from '../support/answers/anthropic.ts';
import { openAiAnswers } from '../support/answers/openai.ts';
import { holds } from '../support/answers/property.ts';
import { cutOff, cuts, inPackets, parts, type SseEvent, styles, writeEvents } from '../support/answers/sse.ts';
import type { ProviderCall } from '../support/fake-provider.ts';
import { useWires } from '../support/wires.ts';

// Any answer that a provider may give, written in any way, in any packets: the official clients see the same of it through llm-proxy as
// straight from the provider. Where it breaks off, they see a failure, and never an end.

const wires = useWires();
const openais = () => ({
  direct: new OpenAI({ maxRetries: 0, baseURL: wires.provider.url, apiKey: 'k', logLevel: 'off' }),
  through: wires.openai.withOptions({ logLevel: 'off' }),
});
const anthropics = () => ({
  direct: new Anthropic({
    maxRetries: 0,
    baseURL: wires.provider.url.replace('/v1', ''),
    apiKey: 'k',
    logLevel: 'off',
  }),
  through: wires.anthropic.withOptions({ logLevel: 'off' }),
});
const messages = [{ role: 'user' as const, content: 'hi' }];
const answers = { openai: openAiAnswers, anthropic: anthropicAnswers };

const send = (packets: Buffer[], end: 'end' | 'destroy' = 'end') => {
  wires.answer = async (call: ProviderCall) => {
    call.open();
    call.response.socket?.setNoDelay(true);
    for (const packet of packets) await call.raw(packet);
    call.response[end]();
  };
};

/** What a client saw of a stream: its events, and the failure that it ended with, if it did. */
interface Seen {
  events: unknown[];
  failure?: unknown;
}

async function read(stream: Promise<AsyncIterable<unknown>>): Promise<Seen> {
  const events: unknown[] = [];
  try {
    for await (const event of await stream) events.push(event);
    return { events };
  } catch (failure) {
    return { events, failure };
  }
}

const asked = { model: 'gpt-x', messages, stream: true as const };
const readOpenAi = (client: OpenAI, more: object = { stream_options: { include_usage: true } }) =>
  read(client.chat.completions.create({ ...asked, ...more }));
const readAnthropic = (client: Anthropic) =>
  read(client.messages.create({ model: 'claude-x', messages, max_tokens: 10, stream: true }));

/** What the client's own helper makes of the stream, or the name of what it throws. */
async function final(asking: Promise<unknown>): Promise<unknown> {
  return asking.catch((error: Error) => `${error.constructor.name}: ${error.message}`);
}
const finalOpenAi = (client: OpenAI, n: number) =>
  final(
    client.chat.completions
      .stream({ model: 'gpt-x', messages, n, stream_options: { include_usage: true } })
      .finalChatCompletion(),
  );
const finalAnthropic = (client: Anthropic) =>
  final(client.messages.stream({ model: 'claude-x', messages, max_tokens: 10 }).finalMessage());

const payloads = (events: SseEvent[]) => events.filter(({ data }) => data !== '[DONE]').map(({ data }) => data);

describe("OpenAI's wire", () => {
  it('whatever the answer and its packets: the same events, the same completion', { timeout: 120_000 }, () =>
    holds(fc.record({ answer: openAiAnswers, style: styles, where: cuts }), async ({ answer, style, where }) => {
      send(inPackets(writeEvents(answer.events, style), where));
      const { direct, through } = openais();
      const seen = await readOpenAi(direct);
      expect(seen).toEqual({ events: payloads(answer.events) });
      expect(await readOpenAi(through)).toEqual(seen);
      expect(await finalOpenAi(through, answer.choices)).toEqual(await finalOpenAi(direct, answer.choices));
    }),
  );

  it('nobody who has not asked for the usage gets an event that has nothing else', { timeout: 120_000 }, () =>
    holds(fc.record({ answer: openAiAnswers, style: styles, where: cuts }), async ({ answer, style, where }) => {
      send(inPackets(writeEvents(answer.events, style), where));
      const isCountAlone = (chunk: object) => {
        const { choices, usage } = chunk as { choices: unknown[]; usage?: unknown };
        return choices.length === 0 && usage != null;
      };
      expect(await readOpenAi(openais().through, {})).toEqual({
        events: payloads(answer.events).filter((chunk) => !isCountAlone(chunk as object)),
      });
    }),
  );
});

describe("Anthropic's wire", () => {
  it('whatever the answer and its packets: the same events, the same message', { timeout: 120_000 }, () =>
    holds(fc.record({ answer: anthropicAnswers, style: styles, where: cuts }), async ({ answer, style, where }) => {
      send(inPackets(writeEvents(answer.events, style), where));
      const { direct, through } = anthropics();
      const seen = await readAnthropic(direct);
      const hasStop = answer.events.some(({ name }) => name === 'message_stop');
      // What the provider forgets, llm-proxy adds.
      const events = hasStop ? seen.events : [...seen.events, { type: 'message_stop' }];
      expect(await readAnthropic(through)).toEqual({ events });
      if (hasStop) expect(await finalAnthropic(through)).toEqual(await finalAnthropic(direct));
    }),
  );

  it('the same beginning again is left out', { timeout: 120_000 }, () =>
    holds(
      fc.record({
        answer: anthropicAnswers,
        style: styles,
        where: cuts,
        at: fc.array(fc.nat(20), { minLength: 1, maxLength: 2 }),
      }),
      async ({ answer, style, where, at }) => {
        const events = [...answer.events];
        for (const place of at) events.splice(1 + (place % answer.finishedAfter), 0, startOf('msg_1'));
        send(inPackets(writeEvents(answer.events, style), where));
        const { direct, through } = anthropics();
        const seen = await readAnthropic(through);
        const message = await finalAnthropic(through);
        send(inPackets(writeEvents(events, style), where));
        expect(await readAnthropic(through)).toEqual(seen);
        expect(await finalAnthropic(through)).toEqual(message);
        if (answer.events.some(({ name }) => name === 'message_stop'))
          expect((await readAnthropic(direct)).events.length).toBe(seen.events.length + at.length);
      },
    ),
  );

  it('the beginning of another message within one is a lost stream', { timeout: 120_000 }, () =>
    holds(
      fc.record({ answer: anthropicAnswers, style: styles, where: cuts, at: fc.nat(20) }),
      async ({ answer, style, where, at }) => {
        const begun = answer.events.findIndex(
          ({ name, data }) =>
            name?.startsWith('content_block') ||
            name === 'message_delta' ||
            (data as { message?: { stop_reason?: unknown } }).message?.stop_reason,
        );
        const place = Math.min(begun + 1 + (at % answer.finishedAfter), answer.finishedAfter);
        const spliced = [...answer.events.slice(0, place), startOf('msg_2'), ...answer.events.slice(place)];
        send(inPackets(writeEvents(spliced, style), where));
        const { direct, through } = anthropics();
        const { events, failure } = await readAnthropic(through);
        expect(failure).toMatchObject({ error: { type: 'error', error: { type: 'api_error' } } });
        expect(events).toEqual((await readAnthropic(direct)).events.slice(0, events.length));
        expect(events.filter((event) => (event as { type: string }).type === 'message_start')).toHaveLength(1);
        expect(await finalAnthropic(through)).toMatch(/APIError/);
        expect(await finalAnthropic(direct)).toMatch(/Unexpected event order/);
      },
    ),
  );
});

describe.each(['openai', 'anthropic'] as const)('%s: an answer that breaks off', (wire) => {
  const examples = fc.record({
    answer: answers[wire] as fc.Arbitrary<{ events: SseEvent[]; finishedAfter: number; choices?: number }>,
    style: styles,
    where: cuts,
    part: parts,
    end: fc.constantFrom('end' as const, 'destroy' as const),
  });
  const ask = (who: 'direct' | 'through', n: number) =>
    wire === 'openai'
      ? readOpenAi(openais()[who], { n, stream_options: { include_usage: true } })
      : readAnthropic(anthropics()[who]);
  const finish = (who: 'direct' | 'through', n: number) =>
    wire === 'openai' ? finalOpenAi(openais()[who], n) : finalAnthropic(anthropics()[who]);

  it('is a failure, unless nothing but its last words are missing', { timeout: 120_000 }, () =>
    holds(examples, async ({ answer, style, where, part, end }) => {
      const written = writeEvents(answer.events, style);
      const at = Math.floor(part * written.bytes.length);
      const { choices = 1 } = answer;
      send(inPackets(written, where));
      const whole = await ask('direct', choices);
      const message = await finish('through', choices);

      send(cutOff(written, at, where), end);
      const seen = await ask('through', choices);
      const isStop = (event: unknown) => (event as { type?: unknown }).type === 'message_stop';
      expect(seen.events.filter((event) => !isStop(event))).toEqual(
        whole.events.filter((event) => !isStop(event)).slice(0, seen.events.filter((event) => !isStop(event)).length),
      );
      // An event whose empty line alone is missing counts, or does not.
      const complete = written.ends.filter((offset) => offset <= at).length;
      const isFinished = complete >= answer.finishedAfter;
      const isAboutFinished = complete + 1 >= answer.finishedAfter;
      if (seen.failure === undefined) expect(isAboutFinished).toBe(true);
      else {
        expect(isFinished && end === 'end').toBe(false);
        expect(seen.failure).toBeInstanceOf(wire === 'openai' ? OpenAI.APIError : Anthropic.APIError);
      }
      const helped = await finish('through', choices);
      const straight = await finish('direct', choices);
      if (typeof helped === 'object') {
        const { usage: _, ...said } = helped as Record<string, unknown>;
        const { usage: __, ...meant } = message as Record<string, unknown>;
        expect(said).toEqual(meant);
      } else if (end === 'end' && isFinished) expect(typeof straight).toBe('string');
    }),
  );
});
