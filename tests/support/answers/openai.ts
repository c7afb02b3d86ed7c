import fc from 'fast-check';
import type { SseEvent } from './sse.ts';
import { argumentPieces, byId, interleaved, type Said, texts } from './texts.ts';

/** A whole stream of OpenAI's wire, and what it says. */
export interface OpenAiAnswer {
  events: SseEvent[];
  /** How many choices it has. */
  choices: number;
  /** What its first choice says. */
  said: Said;
  reason: string;
  usage: { prompt_tokens: number; completion_tokens: number } | undefined;
  /** From how many events on it is finished, and its first choice. */
  finishedAfter: number;
  firstFinishedAfter: number;
}

/** What stands in place of the reason while there is none: nothing, null, or what some servers write. */
type Unfinished = { finish_reason?: null | '' | 'null' };

interface Choice {
  index: number;
  role: 'own event' | 'own event, null' | 'first delta' | 'each delta';
  content: string[];
  reasoning: string[];
  reasoningKey: 'reasoning_content' | 'reasoning';
  calls: Array<{ id: string; name: string; pieces: string[] }>;
  empties: object[];
  picks: number[];
  reason: string;
  isReasonWithLast: boolean;
}

const picks = fc.array(fc.nat(10), { maxLength: 20 });

const choiceOf = (index: number): fc.Arbitrary<Choice> =>
  fc.record({
    index: fc.constant(index),
    role: fc.constantFrom('own event', 'own event, null', 'first delta', 'each delta'),
    content: fc.array(texts, { maxLength: 6 }),
    reasoning: fc.array(texts, { maxLength: 3 }),
    reasoningKey: fc.constantFrom('reasoning_content', 'reasoning'),
    calls: fc.array(
      fc.record({
        id: fc.string({ unit: fc.constantFrom(...'abc_9'), minLength: 3, maxLength: 6 }),
        name: fc.constantFrom('read_file', 'run', 'x'),
        pieces: fc.oneof(argumentPieces, fc.constantFrom<string[]>([], [''])),
      }),
      { maxLength: 2 },
    ),
    empties: fc.array(fc.constantFrom({}, { content: '' }, { content: null }, { content: '', tool_calls: [] }), {
      maxLength: 3,
    }),
    picks,
    reason: fc.constantFrom('stop', 'length', 'tool_calls', 'content_filter', 'something_new'),
    isReasonWithLast: fc.boolean(),
  });

/** The deltas of a choice, in order. */
function deltasOf({ role, content, reasoning, reasoningKey, calls, empties, picks: order }: Choice): object[] {
  const deltas = interleaved<object>(
    [
      content.map((text) => ({ content: text })),
      reasoning.map((text) => ({ content: null, [reasoningKey]: text })),
      ...calls.map(({ id, name, pieces }, index) => [
        {
          tool_calls: [
            { index, id: `${id}${index}`, type: 'function', function: { name, arguments: pieces[0] ?? '' } },
          ],
        },
        ...pieces.slice(1).map((piece) => ({ tool_calls: [{ index, function: { arguments: piece } }] })),
      ]),
      empties,
    ],
    order,
  );
  if (role === 'own event') return [{ role: 'assistant', content: '' }, ...deltas];
  if (role === 'own event, null') return [{ role: 'assistant', content: null }, ...deltas];
  const all = deltas.length === 0 ? [{}] : deltas;
  return all.map((delta, index) => (index === 0 || role === 'each delta' ? { role: 'assistant', ...delta } : delta));
}

function saidBy({ content, reasoning, calls }: Choice): Said {
  return {
    text: content.join(''),
    reasoning: reasoning.join(''),
    calls: byId(
      calls.map(({ id, name, pieces }, index) => ({
        id: `${id}${index}`,
        name,
        input: pieces.join('') === '' ? {} : JSON.parse(pieces.join('')),
      })),
    ),
  };
}

const usages = fc.record({ prompt_tokens: fc.integer({ min: 1, max: 999 }), completion_tokens: fc.nat(999) });

export const openAiAnswers: fc.Arbitrary<OpenAiAnswer> = fc
  .record({
    choices: fc.oneof({ weight: 3, arbitrary: fc.tuple(choiceOf(0)) }, fc.tuple(choiceOf(0), choiceOf(1))),
    picks,
    /** As Azure begins. */
    filters: fc.array(fc.constantFrom({}, { hate: { filtered: false, severity: 'safe' } }), { maxLength: 2 }),
    unfinished: fc.constantFrom<Unfinished>(
      { finish_reason: null },
      { finish_reason: '' },
      { finish_reason: 'null' },
      {},
    ),
    usage: fc.option(usages, { nil: undefined }),
    usageAt: fc.constantFrom('end', 'finish', 'every', 'first', 'middle'),
    hasNullUsage: fc.boolean(),
    unknown: fc.constantFrom<object>(
      {},
      { system_fingerprint: 'fp_1', service_tier: null },
      { x_future: { a: [1, '"'] } },
    ),
    hasObfuscation: fc.boolean(),
    hasLogprobs: fc.boolean(),
    /** Events of tomorrow. */
    strangers: fc.array(fc.constantFrom<object>({ choices: [], x_note: 'hm' }, { choices: [], object: 'x.ping' }), {
      maxLength: 2,
    }),
    hasDone: fc.boolean(),
  })
  .map((spec) => {
    const head = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'fake-1', ...spec.unknown };
    const isEvery = spec.usageAt === 'every';
    const usage = spec.usage === undefined ? undefined : { ...spec.usage, total_tokens: 0 };
    if (usage !== undefined) usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
    const noUsage = spec.hasNullUsage ? { usage: null } : {};
    let count = 0;
    const chunk = (index: number, delta: object, reason: object, counts: object = noUsage): object => ({
      ...head,
      choices: [{ index, delta, ...(spec.hasLogprobs ? { logprobs: null } : {}), ...reason }],
      ...(isEvery && usage !== undefined ? { usage } : counts),
      ...(spec.hasObfuscation ? { obfuscation: 'abcdefgh'.slice(0, count++ % 9) } : {}),
    });
    const streams = spec.choices.map((choice) => {
      const deltas = deltasOf(choice);
      const reason = { finish_reason: choice.reason };
      const counts = spec.usageAt === 'finish' && usage !== undefined ? { usage } : undefined;
      if (choice.isReasonWithLast && deltas.length > 1) {
        const last = deltas.pop() as object;
        return [
          ...deltas.map((delta) => chunk(choice.index, delta, spec.unfinished)),
          chunk(choice.index, last, reason, counts),
        ];
      }
      return [
        ...deltas.map((delta) => chunk(choice.index, delta, spec.unfinished)),
        chunk(choice.index, {}, reason, counts),
      ];
    });
    const chunks = interleaved(streams, spec.picks);
    const lastChunk = chunks.at(-1);
    const lastOfFirst = streams[0]?.at(-1);
    const counted = usage === undefined ? [] : [{ ...head, choices: [], usage }];
    if (spec.usageAt === 'end') chunks.push(...counted);
    if (spec.usageAt === 'first') chunks.unshift(...counted);
    if (spec.usageAt === 'middle') chunks.splice(Math.floor(chunks.length / 2), 0, ...counted);
    for (const [number, stranger] of spec.strangers.entries())
      chunks.splice((number * 3) % chunks.length, 0, { ...head, ...stranger });
    for (const filter of spec.filters)
      chunks.unshift({
        choices: [],
        created: 0,
        id: '',
        model: '',
        object: '',
        prompt_filter_results: [{ prompt_index: 0, content_filter_results: filter }],
      });
    const events: SseEvent[] = chunks.map((data) => ({ data }));
    const first = spec.choices[0];
    return {
      events: spec.hasDone ? [...events, { data: '[DONE]' }] : events,
      choices: spec.choices.length,
      said: saidBy(first),
      reason: first.reason,
      usage,
      finishedAfter: chunks.indexOf(lastChunk as object) + 1,
      firstFinishedAfter: chunks.indexOf(lastOfFirst as object) + 1,
    };
  });
