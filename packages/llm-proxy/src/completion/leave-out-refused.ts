import { CodelabError } from '@codelab/protocol';
import { detailsOf } from '../errors/provider-error.ts';
import type { HttpProvider, OptionalPart } from '../providers/provider.ts';
import type { Attempt } from './attempt.ts';

interface Refusable<T> {
  provider: HttpProvider;
  /** The provider's own name of the model. */
  model: string;
  /** The optional parts that the request has. */
  parts: OptionalPart[];
  /** Creates the attempt that sends the request without the parts that are refused. */
  open(refused: ReadonlySet<OptionalPart>): Attempt<T>;
}

/**
 * Creates an attempt that is made again, at once, without an optional part that the provider's 400 names. What a model refuses is
 * remembered once the request has succeeded without it.
 */
export function leaveOutRefused<T>({ provider, model, parts, open }: Refusable<T>): Attempt<T> {
  const refused = new Set(provider.refusedBy(model));
  let attempt = open(refused);
  return {
    async run(how) {
      const learned: OptionalPart[] = [];
      for (;;) {
        try {
          await attempt.run(how);
          break;
        } catch (error) {
          const part = attempt.hasBegun() ? undefined : refusedPart(error, parts);
          if (part === undefined || refused.has(part)) throw error;
          refused.add(part);
          learned.push(part);
          attempt = open(refused);
        }
      }
      // Blocks of thinking are refused for what they are, not for the model.
      for (const part of learned) if (part !== 'thinking_blocks') provider.refuse(model, part);
    },
    hasBegun: () => attempt.hasBegun(),
    opened: () => attempt.opened(),
    hasFailed: () => attempt.hasFailed(),
    usage: () => attempt.usage(),
  };
}

/** Returns the part that the provider's error is about; undefined if it is about none of them. */
function refusedPart(error: unknown, parts: OptionalPart[]): OptionalPart | undefined {
  if (!(error instanceof CodelabError) || error.code !== 'VALIDATION') return undefined;
  const said = `${detailsOf(error).param ?? ''} ${error.message}`;
  return parts.find((part) => NAMED[part.startsWith('effort:') ? 'effort' : (part as keyof typeof NAMED)].test(said));
}

/** How providers name the parts. Of blocks of thinking they also say that they are missing: then it is thinking that cannot be asked for. */
const NAMED = {
  prompt_cache_key: /prompt_cache_key/,
  cache_control: /cache_control/,
  thinking_blocks: /signature|blocks? .{0,60}(cannot be modified|prefix)|prefix.{0,60}thinking|thinking_blocks/i,
  effort: /effort|reasoning|thinking\.type|adaptive thinking|budget_tokens|thinking.{0,40}not support|thinking block/i,
};
