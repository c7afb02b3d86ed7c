import Anthropic from '@anthropic-ai/sdk';
import fc from 'fast-check';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { anthropicAnswers, startOf } from '../support/answers/anthropic.ts';
import { openAiAnswers } from '../support/answers/openai.ts';
import { holds } from '../support/answers/property.ts';
import { cuts, inPackets, type SseEvent, styles, writeEvents } from '../support/answers/sse.ts';
import type { ProviderCall } from '../support/fake-provider.ts';
import { useWires } from '../support/wires.ts';

// What providers really send, and gateways have dropped or misjudged: one story each, with retries on, so that what is refused is paid again.

const wires = useWires({ LLM_PROXY__MAX_RETRIES: '2' });
const messages = [{ role: 'user' as const, content: 'hi' }];
const gpt = { model: 'openai/g', messages };
const claude = { model: 'anthropic/c', messages, max_tokens: 10 };

/** How often the provider is asked meanwhile. */
async function callsOf(asking: () => Promise<unknown>): Promise<number> {
  const before = wires.provider.calls.length;
  await asking();
  return wires.provider.calls.length - before;
}
const events = (...all: Array<object | string>) => {
  wires.answer = async (call: ProviderCall) => {
    for (const event of all) await call.raw(typeof event === 'string' ? event : `data: ${JSON.stringify(event)}\n\n`);
    call.response.end();
  };
};
const chunk = (delta: object, reason: string | null = null, index = 0) => ({
  id: 'x',
  model: 'g',
  choices: [{ index, delta, finish_reason: reason }],
});

describe("OpenAI's wire", () => {
  it('Azure: the role that follows the results of its filters', async () => {
    events(
      { choices: [], created: 0, id: '', model: '', prompt_filter_results: [{ prompt_index: 0 }] },
      chunk({ role: 'assistant', content: '', refusal: null }),
      chunk({ content: 'Hello' }),
      chunk({}, 'stop'),
      'data: [DONE]\n\n',
    );
    const { choices } = await wires.openai.chat.completions.stream(gpt).finalChatCompletion();
    expect(choices[0]).toMatchObject({ message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' });
  });

  it('each of two choices has its role, its text and its end', async () => {
    events(
      chunk({ role: 'assistant', content: '' }),
      chunk({ role: 'assistant', content: '' }, null, 1),
      chunk({ content: 'one' }),
      chunk({ content: 'two' }, null, 1),
      chunk({}, 'stop'),
      chunk({}, 'length', 1),
      'data: [DONE]\n\n',
    );
    const { choices } = await wires.openai.chat.completions.stream({ ...gpt, n: 2 }).finalChatCompletion();
    expect(choices.map(({ message, finish_reason: reason }) => [message.content, reason])).toEqual([
      ['one', 'stop'],
      ['two', 'length'],
    ]);
  });

  it('of two choices one is over, and the other is cut: that is a failure', async () => {
    events(chunk({ role: 'assistant', content: 'one' }, 'stop'), chunk({ role: 'assistant', content: 'tw' }, null, 1));
    const asked = wires.openai.chat.completions.stream({ ...gpt, n: 2 }).finalChatCompletion();
    await expect(asked).rejects.toMatchObject({ code: 'provider_stream_lost' });
  });

  it.each(['', 'null'])(
    'a stream that is cut is a failure, though each of its events has the reason "%s"',
    async (reason) => {
      events(chunk({ role: 'assistant', content: 'One ' }, reason), chunk({ content: 'two' }, reason), 'data: {"choi');
      await expect(wires.openai.chat.completions.stream(gpt).finalChatCompletion()).rejects.toMatchObject({
        code: 'provider_stream_lost',
      });
      await expect(wires.anthropic.messages.stream({ ...claude, ...gpt }).finalMessage()).rejects.toBeInstanceOf(
        Anthropic.APIError,
      );
      await expect(wires.anthropic.messages.create({ ...claude, ...gpt })).rejects.toBeInstanceOf(Anthropic.APIError);
    },
  );

  describe.each([
    ...['error', 'abort', 'cancelled', 'insufficient_system_resource', 'ERROR'].map((reason) => [reason, undefined]),
    ['stop', { message: 'boom' }],
  ] as Array<[reason: string, error: object | undefined]>)(
    'an answer that ends by "%s", with the error %j',
    (reason, error) => {
      const end = { ...chunk({}), choices: [{ index: 0, delta: {}, finish_reason: reason, ...(error && { error }) }] };

      it('is a failure where it is translated', async () => {
        events(chunk({ role: 'assistant', content: 'Half an ans' }), end, 'data: [DONE]\n\n');
        const translated = { ...claude, ...gpt };
        await expect(wires.anthropic.messages.stream(translated).finalMessage()).rejects.toBeInstanceOf(
          Anthropic.APIError,
        );
        await expect(wires.anthropic.messages.create(translated)).rejects.toBeInstanceOf(Anthropic.APIError);
      });

      it('passes as it came where something was said', async () => {
        events(chunk({ role: 'assistant', content: 'Half an ans' }), end, 'data: [DONE]\n\n');
        const { body } = await wires.openai.chat.completions.create({ ...gpt, stream: true }).asResponse();
        const text = await new Response(body).text();
        expect(text).toContain(`data: ${JSON.stringify(end)}\n\ndata: [DONE]\n\n`);
        expect(text.match(/\[DONE\]/g)).toHaveLength(1);
      });

      it('is asked for again where nothing was said yet, streamed and whole', async () => {
        const whole = { choices: [{ ...end.choices[0], message: { role: 'assistant', content: 'Half an ans' } }] };
        let asked = 0;
        wires.answer = async (call) => {
          const isBad = ++asked % 2 === 1;
          if (call.body.stream !== true)
            return call.json(isBad ? whole : { choices: [{ index: 0, finish_reason: 'stop' }] });
          if (!isBad) await call.delta({ role: 'assistant', content: 'Hello' });
          await call.raw(`data: ${JSON.stringify(isBad ? end : chunk({}, 'stop'))}\n\ndata: [DONE]\n\n`);
          call.response.end();
        };
        const { choices } = await wires.openai.chat.completions.stream(gpt).finalChatCompletion();
        expect(choices[0]).toMatchObject({ message: { content: 'Hello' }, finish_reason: 'stop' });
        const message = await wires.anthropic.messages.stream({ ...claude, ...gpt }).finalMessage();
        expect(message.content).toMatchObject([{ text: 'Hello' }]);
        expect((await wires.openai.chat.completions.create(gpt)).choices[0]?.finish_reason).toBe('stop');
        expect(asked).toBe(6);
      });
    },
  );

  it.each([
    ...['length', 'model_length', 'max_tokens', 'MAX_TOKENS'].map((reason) => [reason, 'max_tokens']),
    ...['content_filter', 'SAFETY'].map((reason) => [reason, 'refusal']),
    ...['stop', 'eos', 'COMPLETE'].map((reason) => [reason, 'end_turn']),
  ])('an answer that ends by "%s" ends by "%s" where it is translated', async (reason, meant) => {
    events(chunk({ role: 'assistant', content: 'All of it' }), chunk({}, reason), 'data: [DONE]\n\n');
    const streamed = await wires.anthropic.messages.stream({ ...claude, ...gpt }).finalMessage();
    const whole = await wires.anthropic.messages.create({ ...claude, ...gpt });
    expect([streamed.stop_reason, whole.stop_reason]).toEqual([meant, meant]);
  });

  it.each([
    ['{"type":"error","message":"boom"}', ''],
    ['{"object":"error","message":"boom","code":500}', ''],
    ['{"message":"boom"}', 'event: error\n'],
  ])('the event %s in the middle of an answer, named by %j, is a failure', async (data, name) => {
    events(chunk({ role: 'assistant', content: 'Half' }), chunk({ content: ' an' }), `${name}data: ${data}\n\n`);
    const failed = { message: expect.stringContaining('boom') };
    await expect(wires.openai.chat.completions.stream(gpt).finalChatCompletion()).rejects.toMatchObject(failed);
    await expect(wires.anthropic.messages.stream({ ...claude, ...gpt }).finalMessage()).rejects.toMatchObject(failed);
  });

  it.each([
    ['no choices', { choices: [] }],
    ['no choices, and an error', { choices: [], error: { message: 'boom', code: 502 } }],
    ['a choice that is nothing', { choices: [null] }],
    ['no reason', { choices: [{ index: 0, message: { role: 'assistant', content: 'half' } }] }],
    ['an empty reason', { choices: [{ index: 0, message: { content: 'half' }, finish_reason: '' }] }],
    ['an error beside it', { choices: [{ index: 0, finish_reason: 'stop' }], error: { message: 'boom' } }],
  ])('a whole answer with %s is none: it is asked for again, and is a failure', async (_, answer) => {
    wires.answer = (call) => call.json(answer);
    const asked = async () => {
      await expect(wires.openai.chat.completions.create(gpt)).rejects.toMatchObject({ status: 502 });
    };
    expect(await callsOf(asked)).toBe(3);
  });

  it('of two choices that were asked for there is one: that is a failure, streamed and whole', async () => {
    const two = { ...gpt, n: 2 };
    events(chunk({ role: 'assistant', content: 'one' }), chunk({}, 'stop'), 'data: [DONE]\n\n');
    await expect(wires.openai.chat.completions.stream(two).finalChatCompletion()).rejects.toMatchObject({
      code: 'provider_stream_lost',
    });
    wires.answer = (call) => call.json({ choices: [{ index: 0, message: { content: 'one' }, finish_reason: 'stop' }] });
    await expect(wires.openai.chat.completions.create(two)).rejects.toMatchObject({ code: 'provider_stream_lost' });
  });

  it.each(['"finish_reason" : "stop"', '"finish_reason"\t:"stop"', '"finish_reason":\ndata: "stop"'])(
    'the end is seen where it is written as %j',
    async (reason) => {
      events(
        chunk({ role: 'assistant', content: 'Hello' }),
        `data: {"id":"x","choices":[{"index":0,"delta":{},${reason}}]}\n\n`,
        { id: 'x', choices: [], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } },
        'data: [DONE]\n\n',
      );
      const asked = async () => {
        const { choices } = await wires.openai.chat.completions.stream(gpt).finalChatCompletion();
        expect(choices[0]).toMatchObject({ message: { content: 'Hello' }, finish_reason: 'stop' });
      };
      expect(await callsOf(asked)).toBe(1);
    },
  );
});

describe("Anthropic's wire", () => {
  const call = { type: 'tool_use', id: 'toolu_1', name: 'look', input: { at: 'x' }, caller: { type: 'direct' } };
  const event = ({ name, data }: SseEvent) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
  const stop = event({ name: 'message_stop', data: { type: 'message_stop' } });

  it.each([
    ['pause_turn', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['refusal', 'content_filter'],
    ['stop_sequence', 'stop'],
    ['from_the_future', 'stop'],
  ])('an answer that ends by "%s" ends by "%s" where it is translated', async (reason, meant) => {
    events(event(startOf('msg_1', { content: [{ type: 'text', text: 'x' }], stop_reason: reason })), stop);
    const asked = { ...gpt, model: 'anthropic/c' };
    const streamed = await wires.openai.chat.completions.stream(asked).finalChatCompletion();
    const whole = await wires.openai.chat.completions.create(asked);
    expect([streamed, whole].map(({ choices }) => choices[0]?.finish_reason)).toEqual([meant, meant]);
  });

  it('a whole message that does not say why it ended is a failure', async () => {
    wires.answer = (call) =>
      call.json({ type: 'message', content: [{ type: 'text', text: 'half' }], stop_reason: null });
    await expect(wires.anthropic.messages.create(claude)).rejects.toMatchObject({ status: 502 });
  });

  it('a message that stands whole in its start is an answer, and is asked for once', async () => {
    const usage = { input_tokens: 4, output_tokens: 9 };
    events(event(startOf('msg_1', { content: [call], stop_reason: 'tool_use', usage })), stop);
    const asked = async () => {
      const message = await wires.anthropic.messages.stream(claude).finalMessage();
      expect(message).toMatchObject({ content: [call], stop_reason: 'tool_use', usage });
      const translated = [
        await wires.openai.chat.completions
          .stream({ ...gpt, model: 'anthropic/c', stream_options: { include_usage: true } })
          .finalChatCompletion(),
        await wires.openai.chat.completions.create({ ...gpt, model: 'anthropic/c' }),
      ];
      for (const { choices, usage: counted } of translated) {
        expect(choices[0]).toMatchObject({
          finish_reason: 'tool_calls',
          message: { tool_calls: [{ id: 'toolu_1', function: { name: 'look', arguments: '{"at":"x"}' } }] },
        });
        expect(counted).toMatchObject({ prompt_tokens: 4, completion_tokens: 9 });
      }
    };
    expect(await callsOf(asked)).toBe(3);
  });

  it('another message within one is a failure, and no call comes of both', async () => {
    const open = (id: string) =>
      event(startOf(id)) +
      event({
        name: 'content_block_start',
        data: { type: 'content_block_start', index: 0, content_block: { ...call, input: {} } },
      });
    const json = (partial_json: string) =>
      event({
        name: 'content_block_delta',
        data: { type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json } },
      });
    events(open('msg_1'), json('{"at":"Spark'), open('msg_2'), json('{"at":"y"}'), stop);
    await expect(wires.anthropic.messages.stream(claude).finalMessage()).rejects.toMatchObject({
      message: expect.stringContaining('began another answer'),
    });
    const translated = { ...gpt, model: 'anthropic/c' };
    await expect(wires.openai.chat.completions.stream(translated).finalChatCompletion()).rejects.toMatchObject({
      code: 'provider_stream_lost',
    });
    await expect(wires.openai.chat.completions.create(translated)).rejects.toMatchObject({ status: 502 });
  });
});

describe("a call that is cut off or no JSON, to a client of Anthropic's wire that does not stream", () => {
  const cutCall = (reason: string) =>
    events(
      chunk({ role: 'assistant', content: 'I look.' }),
      chunk({
        tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'look', arguments: '{"at":"' } }],
      }),
      chunk({}, reason),
      'data: [DONE]\n\n',
    );

  it('is left out where the limit of tokens cut it: the reason says so', async () => {
    cutCall('length');
    const message = await wires.anthropic.messages.create({ ...claude, ...gpt });
    expect(message).toMatchObject({ stop_reason: 'max_tokens', content: [{ type: 'text', text: 'I look.' }] });
  });

  it('is a failure else, that is not paid again', async () => {
    cutCall('tool_calls');
    const asked = async () => {
      await expect(wires.anthropic.messages.create({ ...claude, ...gpt })).rejects.toMatchObject({
        status: 502,
        message: expect.stringContaining('arguments that are not JSON'),
      });
    };
    expect(await callsOf(asked)).toBe(1);
  });
});

describe('an attempt that breaks before it has said anything', () => {
  const send = (attempts: Buffer[][]) => {
    let attempt = 0;
    wires.answer = async (call: ProviderCall) => {
      call.open();
      for (const packet of attempts[Math.min(attempt, attempts.length - 1)] as Buffer[]) await call.raw(packet);
      attempt++;
      call.response.end();
    };
  };
  const isNothing = ({ data }: SseEvent) => {
    const { choices, type, message } = data as {
      choices?: Array<{ delta?: object; finish_reason?: unknown }>;
      type?: string;
      message?: { content: unknown[]; stop_reason?: unknown };
    };
    if (type !== undefined)
      return message === undefined
        ? !/block|message_/.test(type)
        : message.content.length === 0 && !message.stop_reason;
    return (choices ?? []).every(
      ({ delta, finish_reason: reason }) =>
        (reason == null || reason === '' || reason === 'null') &&
        Object.entries(delta ?? {}).every(
          ([name, value]) => name === 'role' || value == null || value === '' || (value as unknown[]).length === 0,
        ),
    );
  };
  const saidBy = ({ index, message, finish_reason: reason }: OpenAI.ChatCompletion.Choice) => {
    const { role, content, tool_calls: calls } = message;
    // An empty list of calls, as some providers open an answer with, is no call.
    return { index, reason, role, content, calls: calls ?? [] };
  };
  const opening = (events: SseEvent[]) => {
    const said = events.findIndex((event) => event.data === '[DONE]' || !isNothing(event));
    return events.slice(0, said);
  };

  it("leaves no trace in the second one's answer: OpenAI's wire", { timeout: 120_000 }, () =>
    holds(
      fc.record({ first: openAiAnswers, second: openAiAnswers, style: styles, where: cuts }),
      async ({ first, second, style, where }) => {
        const packets = inPackets(writeEvents(second.events, style), where);
        // As many choices as were asked for.
        const begun = opening(first.events).filter(({ data }) =>
          (data as { choices: Array<{ index: number }> }).choices.every(({ index }) => index < second.choices),
        );
        send([inPackets(writeEvents(begun, style), where), packets]);
        const ask = (client: OpenAI) =>
          client.chat.completions.stream({
            ...gpt,
            model: client === wires.openai ? gpt.model : 'g',
            n: second.choices,
          });
        const through = await ask(wires.openai).finalChatCompletion();
        send([packets]);
        const direct = await ask(new OpenAI({ baseURL: wires.provider.url, apiKey: 'k' })).finalChatCompletion();
        expect(through.choices.map(saidBy)).toEqual(direct.choices.map(saidBy));
      },
      15,
    ),
  );

  it("leaves no trace in the second one's answer: Anthropic's wire", { timeout: 120_000 }, () =>
    holds(
      fc.record({ first: anthropicAnswers, second: anthropicAnswers, style: styles, where: cuts }),
      async ({ first, second, style, where }) => {
        const packets = inPackets(writeEvents(second.events, style), where);
        send([inPackets(writeEvents(opening(first.events), style), where), packets]);
        const ask = (client: Anthropic) =>
          client.messages.stream({ ...claude, model: client === wires.anthropic ? claude.model : 'c' }).finalMessage();
        const through = await ask(wires.anthropic);
        if (second.events.every(({ name }) => name !== 'message_stop')) return;
        send([packets]);
        const direct = await ask(new Anthropic({ baseURL: wires.provider.url.replace('/v1', ''), apiKey: 'k' }));
        expect({ ...through, usage: through.usage.output_tokens }).toEqual({
          ...direct,
          usage: direct.usage.output_tokens,
        });
      },
      15,
    ),
  );
});
