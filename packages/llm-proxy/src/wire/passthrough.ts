import { SHORTEST_SECRET } from '@codelab/service-kit';
import { type ProviderNames, toCutError, toStreamFault } from '../errors/provider-error.ts';
import { tokensOf } from '../lib/token-length.ts';
import type { AnswerReader, CountedUsage, OpenedChoices } from '../providers/provider.ts';
import { failedEndIn, faultIn, isDone, parse } from './chunk-reader.ts';
import { type EventTemplate, matchTemplate, toEventTemplate } from './event-template.ts';
import { saidCharacters } from './said-characters.ts';
import { createSseFramer, eventsOf, type ServerSentEvent } from './sse-framer.ts';
import { estimateUsage } from './token-estimate.ts';

/** Rules of one wire for passing a stream through, and the state of the answer so far. */
export interface PassthroughRules {
  /** True if these events must be parsed; if not, they pass as they are. `text` has the bytes, one a character. */
  needsParsing(text: string): boolean;
  /** The bytes before the text of a delta: `"content":"`. */
  textKey: string;
  /** Inspects one event. Returns its replacement for the client: undefined to pass it as it came, empty to drop it. */
  inspect(payload: object): string | undefined;
  /** True once a part of the answer itself has come. */
  readonly hasBegun: boolean;
  /** Choices whose beginning the client has received, from this attempt and earlier ones. */
  readonly opened: OpenedChoices;
  /** True once the wire's own last event has come. */
  readonly isComplete: boolean;
  /** True if only the wire's own last event is missing. */
  readonly isFinished: boolean;
  /** The wire's own last event, for a provider that does not send it. */
  lastEvent: string;
  /** Returns the usage so far. */
  usage(): CountedUsage | undefined;
}

/**
 * Creates a reader that passes a stream through to a client of the provider's wire (hot path: README.md). The bytes stay as they came, but
 * the client gets only whole events, one beginning, one end, and nothing after it.
 */
export function createPassthrough(rules: PassthroughRules, names: ProviderNames): AnswerReader<Buffer | string> {
  const framer = createSseFramer();
  let isComplete = false;
  let characters = 0;
  let failure: unknown;
  let hasFailed = false;
  let template: EventTemplate | undefined;

  const finish = (): string => {
    if (!rules.isFinished) throw toCutError(names);
    isComplete = true;
    return rules.lastEvent;
  };

  /** Returns the replacement of one event; undefined to pass it as it came. */
  const inspect = ({ data, isError }: ServerSentEvent): string | undefined => {
    if (data === undefined || data === '') return undefined;
    if (isDone(data)) return finish();
    const payload = parse(data, names, rules.hasBegun);
    const failedEnd = failedEndIn(payload);
    const fault = faultIn(payload, isError) ?? (rules.hasBegun ? undefined : failedEnd);
    if (fault !== undefined) throw toStreamFault(fault, names, rules.hasBegun);
    if (failedEnd !== undefined) hasFailed = true;
    const replacement = rules.inspect(payload);
    isComplete = rules.isComplete;
    return replacement;
  };

  const inspectAll = (events: Buffer): Buffer | string => {
    let out = '';
    let isAsItCame = true;
    try {
      for (const event of eventsOf(events.toString('utf8'))) {
        const replacement = isComplete ? '' : inspect(event);
        if (replacement !== undefined) isAsItCame = false;
        out += replacement ?? event.raw;
      }
    } catch (error) {
      if (out === '') throw error;
      failure = error;
      return out;
    }
    return isAsItCame ? events : out;
  };

  return {
    get hasBegun() {
      return rules.hasBegun;
    },
    get opened() {
      return rules.opened;
    },
    get isComplete() {
      return isComplete;
    },
    get failure() {
      return failure;
    },
    get hasFailed() {
      return hasFailed;
    },
    push(packet) {
      if (template !== undefined && framer.isEmpty()) {
        const length = matchTemplate(packet, template);
        if (length !== -1) {
          characters += length;
          // A text shorter than any secret has none, and most are.
          return length < SHORTEST_SECRET ? packet : names.censor(packet);
        }
      }
      const whole = framer.push(packet);
      if (whole === undefined) return undefined;
      // No secret crosses the end of an event: of whole events nothing has to be held back.
      const events = names.censor(whole);
      const text = events.toString('latin1');
      characters += saidCharacters(text);
      if (rules.hasBegun && !rules.needsParsing(text)) {
        if (text.indexOf('\n\n') === text.length - 2) template = toEventTemplate(events, rules.textKey);
        return events;
      }
      const out = inspectAll(events);
      return out.length === 0 ? undefined : out;
    },
    end() {
      const rest = names.censor(framer.rest());
      let out = '';
      // A cut event is dropped; `[DONE]` without its empty line is an end.
      if (isWholeEvent(rest)) out = inspectAll(Buffer.concat([rest, Buffer.from('\n\n')])).toString();
      return isComplete || failure !== undefined ? out : out + finish();
    },
    usage(inputTokens) {
      const usage = rules.usage();
      if (usage !== undefined && isComplete) return usage;
      return estimateUsage(usage, { inputTokens, outputTokens: tokensOf(characters) });
    },
  };
}

function isWholeEvent(rest: Buffer): boolean {
  const text = rest.toString('utf8').trim();
  if (text === '') return false;
  const data = [...eventsOf(text)][0]?.data;
  if (data === undefined || isDone(data)) return data !== undefined;
  try {
    JSON.parse(data);
    return true;
  } catch {
    return false;
  }
}
