import fc from 'fast-check';
import type { SseEvent } from './sse.ts';
import { argumentPieces, type Said, texts } from './texts.ts';

/** A whole stream of Anthropic's wire, and what it says. */
export interface AnthropicAnswer {
  events: SseEvent[];
  said: Said;
  reason: string;
  outputTokens: number;
  /** From how many events on it is finished. */
  finishedAfter: number;
}

interface Block {
  /** As `content_block_start` has it. */
  start: Record<string, unknown>;
  deltas: object[];
  /** As a whole message has it. */
  whole: Record<string, unknown>;
  said: Partial<Said>;
}

const textBlocks: fc.Arbitrary<Block> = fc.array(texts, { maxLength: 5 }).map((pieces) => {
  const text = pieces.join('');
  return {
    start: { type: 'text', text: '' },
    deltas: pieces.map((piece) => ({ type: 'text_delta', text: piece })),
    whole: { type: 'text', text },
    said: { text },
  };
});

const thinkingBlocks: fc.Arbitrary<Block> = fc.array(texts, { maxLength: 3 }).map((pieces) => {
  const reasoning = pieces.join('');
  return {
    start: { type: 'thinking', thinking: '', signature: '' },
    deltas: [
      ...pieces.map((piece) => ({ type: 'thinking_delta', thinking: piece })),
      { type: 'signature_delta', signature: 'c2ln' },
    ],
    whole: { type: 'thinking', thinking: reasoning, signature: 'c2ln' },
    said: { reasoning },
  };
});

const callBlocks: fc.Arbitrary<Block> = fc
  .record({
    id: fc.string({ unit: fc.constantFrom(...'abc_9'), minLength: 3, maxLength: 6 }),
    name: fc.constantFrom('read_file', 'run', 'x'),
    pieces: fc.oneof(argumentPieces, fc.constantFrom<string[]>([], [''])),
    /** Whether the whole input stands in the start of the block. */
    isWhole: fc.boolean(),
    unknown: fc.constantFrom<object>({}, { caller: { type: 'direct' } }),
  })
  .map(({ id, name, pieces, isWhole, unknown }) => {
    const input = pieces.join('') === '' ? {} : JSON.parse(pieces.join(''));
    const block = { type: 'tool_use', id: `toolu_${id}`, name, ...unknown };
    return {
      start: { ...block, input: isWhole ? input : {} },
      deltas: isWhole ? [] : pieces.map((piece) => ({ type: 'input_json_delta', partial_json: piece })),
      whole: { ...block, input },
      said: { calls: [{ id: `toolu_${id}`, name, input }] },
    };
  });

/** What translations pass over, and pass-throughs must not. */
const otherBlocks: fc.Arbitrary<Block> = fc
  .constantFrom<Record<string, unknown>>(
    { type: 'redacted_thinking', data: 'b3BhcXVl' },
    { type: 'hologram', depth: [3, { text: '"' }] },
    { type: 'web_search_tool_result', tool_use_id: 'srvtoolu_1', content: [] },
  )
  .map((block) => ({ start: block, deltas: [], whole: block, said: {} }));

const blocks = fc.array(fc.oneof(textBlocks, textBlocks, thinkingBlocks, callBlocks, otherBlocks), { maxLength: 5 });

function saidBy(all: Block[]): Said {
  return {
    text: all.map(({ said }) => said.text ?? '').join(''),
    reasoning: all.map(({ said }) => said.reasoning ?? '').join(''),
    calls: all.flatMap(({ said }) => said.calls ?? []),
  };
}

const event = (type: string, fields: object = {}): SseEvent => ({ name: type, data: { type, ...fields } });

export const startOf = (id: string, more: object = {}): SseEvent =>
  event('message_start', {
    message: {
      id,
      type: 'message',
      role: 'assistant',
      model: 'claude-x',
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { input_tokens: 7, output_tokens: 1 },
      ...more,
    },
  });

const reasons = fc.constantFrom('end_turn', 'max_tokens', 'stop_sequence', 'tool_use', 'refusal', 'something_new');

/** A message that comes in parts. */
const inParts: fc.Arbitrary<AnthropicAnswer> = fc
  .record({
    blocks,
    reason: reasons,
    outputTokens: fc.integer({ min: 1, max: 999 }),
    /** Before the last `message_delta`. */
    earlier: fc.array(fc.constantFrom<unknown>(null, '', 'null', undefined), { maxLength: 2 }),
    between: fc.array(fc.constantFrom(event('ping'), event('from_the_future', { x: 'message_stop' })), {
      maxLength: 3,
    }),
    hasStop: fc.boolean(),
    unfinished: fc.constantFrom<unknown>(null, '', undefined),
  })
  .map((spec) => {
    const events = [startOf('msg_1', { stop_reason: spec.unfinished })];
    for (const [index, block] of spec.blocks.entries()) {
      events.push(event('content_block_start', { index, content_block: block.start }));
      for (const delta of block.deltas) events.push(event('content_block_delta', { index, delta }));
      events.push(event('content_block_stop', { index }));
    }
    for (const reason of spec.earlier)
      events.push(
        event('message_delta', { delta: { stop_reason: reason, stop_sequence: null }, usage: { output_tokens: 1 } }),
      );
    const last = event('message_delta', {
      delta: { stop_reason: spec.reason, stop_sequence: null },
      usage: { output_tokens: spec.outputTokens },
    });
    events.push(last);
    for (const [number, other] of spec.between.entries()) events.splice(1 + ((number * 5) % events.length), 0, other);
    const finishedAfter = events.indexOf(last) + 1;
    if (spec.hasStop) events.push(event('message_stop'));
    return {
      events,
      said: saidBy(spec.blocks),
      reason: spec.reason,
      outputTokens: spec.outputTokens,
      finishedAfter,
    };
  });

/** A message that stands whole in its start, as programmatic tool calls do. */
const atOnce: fc.Arbitrary<AnthropicAnswer> = fc
  .record({ blocks, reason: reasons, outputTokens: fc.integer({ min: 1, max: 999 }), hasPing: fc.boolean() })
  .map(({ blocks: all, reason, outputTokens, hasPing }) => ({
    events: [
      startOf('msg_1', {
        content: all.map(({ whole }) => whole),
        stop_reason: reason,
        usage: { input_tokens: 7, output_tokens: outputTokens },
      }),
      ...(hasPing ? [event('ping')] : []),
      event('message_stop'),
    ],
    said: saidBy(all),
    reason,
    outputTokens,
    finishedAfter: 1,
  }));

export const anthropicAnswers: fc.Arbitrary<AnthropicAnswer> = fc.oneof({ weight: 3, arbitrary: inParts }, atOnce);
