import { SHORTEST_SECRET } from '@codelab/service-kit';
import { type ProviderNames, toCutError, toStreamFault } from '../errors/provider-error.ts';
import type { AnswerReader, CountedUsage, Opened } from '../providers/provider.ts';
import { failedEndIn, faultIn, isDone, parse } from './chunk-reader.ts';
import { type EventTemplate, templateOf, textLike } from './event-template.ts';
import { saidCharacters } from './said-characters.ts';
import { createSseFramer, eventsOf, type ServerSentEvent } from './sse-framer.ts';
import { estimateUsage, tokensOf } from './token-estimate.ts';

/** What passing a stream on without translating it must know of its wire, and what it has learned of the answer. */
export interface PassthroughRules {
  /** Whether these events must be looked at one by one; if not, they pass as they are. `text` is the bytes, one a character. */
  needsLook(text: string): boolean;
  /** What the text of a delta stands behind. */
  textKey: string;
  /** Looks at one event. Returns what the client gets in its place: undefined where it passes as it came, empty where it is not for it. */
  look(payload: object): string | undefined;
  /** Whether a part of the answer itself has come. */
  readonly hasBegun: boolean;
  /** What the client has had the beginning of, from this attempt and those before. */
  readonly opened: Opened;
  /** Whether an event was the wire's own end. */
  readonly isComplete: boolean;
  /** Whether nothing but the wire's own end is missing. */
  readonly isFinished: boolean;
  /** That end, as the provider should have sent it. */
  lastEvent: string;
  /** The counts so far. */
  usage(): CountedUsage | undefined;
}

/**
 * Passes a stream on to a client that speaks the provider's wire: bytes as they came, but only whole events, one beginning, one end, and
 * nothing after it.
 */
export function createPassthrough(rules: PassthroughRules, names: ProviderNames): AnswerReader<Buffer | string> {
  const splitter = createSseFramer();
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

  /** What the client gets of one event; undefined: as it came. */
  const lookAt = ({ data, isError }: ServerSentEvent): string | undefined => {
    if (data === undefined || data === '') return undefined;
    if (isDone(data)) return finish();
    const payload = parse(data, names, rules.hasBegun);
    const failedEnd = failedEndIn(payload);
    const fault = faultIn(payload, isError) ?? (rules.hasBegun ? undefined : failedEnd);
    if (fault !== undefined) throw toStreamFault(fault, names, rules.hasBegun);
    if (failedEnd !== undefined) hasFailed = true;
    const instead = rules.look(payload);
    isComplete = rules.isComplete;
    return instead;
  };

  const lookAtAll = (events: Buffer): Buffer | string => {
    let out = '';
    let isAsItCame = true;
    try {
      for (const event of eventsOf(events.toString('utf8'))) {
        if (isComplete) {
          isAsItCame = false;
          break;
        }
        const instead = lookAt(event);
        if (instead !== undefined) isAsItCame = false;
        out += instead ?? event.raw;
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
      if (template !== undefined && splitter.isEmpty()) {
        const said = textLike(packet, template);
        if (said !== -1) {
          characters += said;
          // What is shorter than any secret has none, and most are.
          return said < SHORTEST_SECRET ? packet : names.censor(packet);
        }
      }
      const whole = splitter.push(packet);
      if (whole === undefined) return undefined;
      // No secret goes over the end of an event: of whole ones nothing has to be held back.
      const events = names.censor(whole);
      const text = events.toString('latin1');
      characters += saidCharacters(text);
      if (rules.hasBegun && !rules.needsLook(text)) {
        if (text.indexOf('\n\n') === text.length - 2) template = templateOf(events, rules.textKey);
        return events;
      }
      const kept = lookAtAll(events);
      return kept.length === 0 ? undefined : kept;
    },
    end() {
      const rest = names.censor(splitter.rest());
      let kept = '';
      // Half an event is nothing; `[DONE]` without its empty line is an end.
      if (isWholeEvent(rest)) kept = lookAtAll(Buffer.concat([rest, Buffer.from('\n\n')])).toString();
      return isComplete || failure !== undefined ? kept : kept + finish();
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
