import type Anthropic from '@anthropic-ai/sdk';
import fc from 'fast-check';
import type OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { anthropicAnswers } from '../support/answers/anthropic.ts';
import { openAiAnswers } from '../support/answers/openai.ts';
import { holds } from '../support/answers/property.ts';
import { cutOff, cuts, inPackets, parts, type SseEvent, styles, writeEvents } from '../support/answers/sse.ts';
import { byId, type Said } from '../support/answers/texts.ts';
import type { ProviderCall } from '../support/fake-provider.ts';
import { useWires } from '../support/wires.ts';

// Any answer that a provider may give over one wire says the same to the official client of the other one, streamed and whole.

const wires = useWires();
const messages = [{ role: 'user' as const, content: 'hi' }];

const send = (packets: Buffer[]) => {
  wires.answer = async (call: ProviderCall) => {
    call.open();
    call.response.socket?.setNoDelay(true);
    for (const packet of packets) await call.raw(packet);
    call.response.end();
  };
};

function saidByMessage({ content }: Anthropic.Message): Said {
  const of = <T extends string>(type: T) =>
    content.filter((block): block is Extract<Anthropic.ContentBlock, { type: T }> => block.type === type);
  return {
    text: of('text')
      .map(({ text }) => text)
      .join(''),
    reasoning: of('thinking')
      .map(({ thinking }) => thinking)
      .join(''),
    calls: byId(of('tool_use').map(({ id, name, input }) => ({ id, name, input }))),
  };
}

function saidByCompletion({ choices }: OpenAI.ChatCompletion): Said {
  const message = choices[0]?.message;
  return {
    text: message?.content ?? '',
    reasoning: (message as { reasoning_content?: string } | undefined)?.reasoning_content ?? '',
    calls: (message?.tool_calls ?? []).map((call) => {
      if (call.type !== 'function') throw new Error(`a call of the type ${call.type}`);
      return { id: call.id, name: call.function.name, input: JSON.parse(call.function.arguments) };
    }),
  };
}

describe("a provider of OpenAI's wire, to a client of Anthropic's", () => {
  const toStopReason = (reason: string, said: Said) => {
    const known: Record<string, string> = { length: 'max_tokens', tool_calls: 'tool_use', content_filter: 'refusal' };
    return known[reason] ?? (said.calls.length > 0 ? 'tool_use' : 'end_turn');
  };

  it('says the same, streamed and whole', { timeout: 120_000 }, () =>
    holds(fc.record({ answer: openAiAnswers, style: styles, where: cuts }), async ({ answer, style, where }) => {
      send(inPackets(writeEvents(answer.events, style), where));
      const asked = { model: 'openai/g', messages, max_tokens: 10 };
      const streamed = await wires.anthropic.messages.stream(asked).finalMessage();
      const whole = await wires.anthropic.messages.create(asked);
      for (const message of [streamed, whole]) {
        expect(saidByMessage(message)).toEqual(answer.said);
        expect(message.stop_reason).toBe(toStopReason(answer.reason, answer.said));
        expect(message.usage.output_tokens).toBe(answer.usage?.completion_tokens ?? 0);
      }
    }),
  );
});

describe("a provider of Anthropic's wire, to a client of OpenAI's", () => {
  const toFinishReason = (reason: string) => {
    const known: Record<string, string> = { max_tokens: 'length', tool_use: 'tool_calls', refusal: 'content_filter' };
    return known[reason] ?? 'stop';
  };

  it('says the same, streamed and whole', { timeout: 120_000 }, () =>
    holds(fc.record({ answer: anthropicAnswers, style: styles, where: cuts }), async ({ answer, style, where }) => {
      send(inPackets(writeEvents(answer.events, style), where));
      const asked = { model: 'anthropic/c', messages };
      const reasoning: string[] = [];
      const stream = wires.openai.chat.completions.stream({ ...asked, stream_options: { include_usage: true } });
      // The client's helper keeps only the last piece of what it does not know.
      for await (const { choices } of stream) {
        const delta = choices[0]?.delta as { reasoning_content?: string } | undefined;
        reasoning.push(delta?.reasoning_content ?? '');
      }
      const streamed = await stream.finalChatCompletion();
      const whole = await wires.openai.chat.completions.create(asked);
      expect({ ...saidByCompletion(streamed), reasoning: reasoning.join('') }).toEqual(answer.said);
      expect(saidByCompletion(whole)).toEqual(answer.said);
      for (const completion of [streamed, whole]) {
        expect(completion.choices[0]?.finish_reason).toBe(toFinishReason(answer.reason));
        expect(completion.usage?.completion_tokens).toBe(answer.outputTokens);
      }
    }),
  );
});

describe.each([
  ["OpenAI's", openAiAnswers, () => wires.anthropic.messages, 'openai/g'],
  ["Anthropic's", anthropicAnswers, () => wires.openai.chat.completions, 'anthropic/c'],
] as const)('an answer over %s wire that breaks off', (_, answers, clientOf, model) => {
  const examples = fc.record({
    answer: answers as fc.Arbitrary<{
      events: SseEvent[];
      finishedAfter: number;
      firstFinishedAfter?: number;
      said: Said;
    }>,
    style: styles,
    where: cuts,
    part: parts,
  });
  const asked = { model, messages, max_tokens: 10 };
  const answered = async (streamed: boolean): Promise<Said | undefined> => {
    const client = clientOf();
    try {
      if ('stream' in client && 'countTokens' in client)
        return saidByMessage(await (streamed ? client.stream(asked).finalMessage() : client.create(asked)));
      return saidByCompletion(await (streamed ? client.stream(asked).finalChatCompletion() : client.create(asked)));
    } catch (error) {
      expect((error as Error).constructor.name).toMatch(/^(API|InternalServer)Error$/);
      return undefined;
    }
  };

  it('is a failure, streamed and whole, unless nothing but its last words are missing', { timeout: 120_000 }, () =>
    holds(examples, async ({ answer, style, where, part }) => {
      const written = writeEvents(answer.events, style);
      const at = Math.floor(part * written.bytes.length);
      send(cutOff(written, at, where));
      // Of several choices the first is translated.
      const { firstFinishedAfter: finishedAfter = answer.finishedAfter } = answer;
      const complete = written.ends.filter((offset) => offset <= at).length;
      for (const streamed of [true, false]) {
        const said = await answered(streamed);
        // An event whose empty line alone is missing counts, or does not.
        if (said === undefined) expect(complete).toBeLessThan(finishedAfter);
        else {
          expect(complete).toBeGreaterThanOrEqual(finishedAfter - 1);
          expect({ ...said, reasoning: '' }).toEqual({ ...answer.said, reasoning: '' });
        }
      }
    }),
  );
});
