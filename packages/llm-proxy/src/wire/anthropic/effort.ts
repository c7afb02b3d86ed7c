import type Anthropic from '@anthropic-ai/sdk';

/** Thinking budget for each effort, of models before Claude 4.6 and of those without a version. Tokens. */
const BUDGETS: Record<string, number> = {
  minimal: 1024,
  low: 2048,
  medium: 8192,
  high: 24_576,
  xhigh: 32_768,
  max: 32_768,
};
/** Efforts of models that choose themselves how much they think. */
const EFFORTS: Record<string, NonNullable<Anthropic.OutputConfig['effort']>> = {
  minimal: 'low',
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'xhigh',
  max: 'max',
};

export interface Thinking {
  thinking?: Anthropic.ThinkingConfigParam;
  effort?: NonNullable<Anthropic.OutputConfig['effort']>;
}

export interface ThinkingOptions {
  /** The provider's own name of the model. */
  model: string;
  /** True if the model must call a tool: Anthropic lets none think then. */
  isToolForced: boolean;
  /** True if the tool calls that are being answered came without thinking: a budget is refused then. */
  lacksThinking: boolean;
}

/**
 * Converts OpenAI's `reasoning_effort`: for models from Claude 4.6 on to adaptive thinking and Anthropic's effort, for older ones to a
 * budget. Nothing for a value that is none of OpenAI's.
 * Source: https://platform.claude.com/docs/en/build-with-claude/effort
 */
export function toThinking(effort: unknown, { model, isToolForced, lacksThinking }: ThinkingOptions): Thinking {
  if (typeof effort !== 'string') return {};
  if (!isAdaptive(model)) {
    const budget = BUDGETS[effort];
    if (budget === undefined || isToolForced || lacksThinking) return {};
    return { thinking: { type: 'enabled', budget_tokens: budget } };
  }
  if (effort === 'none') return { thinking: { type: 'disabled' } };
  const own = EFFORTS[effort];
  if (own === undefined) return {};
  return {
    // Only later models know the step between.
    effort: own === 'xhigh' && versionOf(model) === 4.06 ? 'high' : own,
    ...(isToolForced ? {} : { thinking: { type: 'adaptive', display: 'summarized' } }),
  };
}

/** True for models that choose themselves how much they think: Claude 4.6 and later ones. */
export function isAdaptive(model: string): boolean {
  return (versionOf(model) ?? 0) >= 4.06;
}

/** Returns 4.06 for `claude-opus-4-6`, 3.07 for `claude-3-7-sonnet-20250219`; undefined for a name without a version. */
function versionOf(model: string): number | undefined {
  const [, major, minor = '0'] = /claude-(?:[a-z]+-)?(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?/.exec(model) ?? [];
  return major === undefined ? undefined : Number(major) + Number(minor) / 100;
}
