import {
  addUsage,
  type CompletionChunk,
  type CompletionMessage,
  type CompletionRequest,
  estimateTextTokens,
  newId,
  noUsage,
} from '@codelab/protocol';
import type { Logger } from '@codelab/service-kit';
import type { Agents } from '../agents/agents.ts';
import { createLiveStep, type LiveStep } from '../events/live-step.ts';
import { withTimeout } from '../lib/with-timeout.ts';
import { effortOf, modelOf } from '../machine/run-machine.ts';
import type { Input } from '../machine/session-machine.ts';
import type { RunState, SessionState } from '../machine/state.ts';
import { accumulateStep, type ModelStep } from '../model/accumulate-step.ts';
import { compact, hasRoom } from '../model/compaction.ts';
import { toEnvironmentPrompt } from '../model/environment-prompt.ts';
import type { LlmAnswer, LlmClient } from '../model/llm-client.ts';
import { estimateTokens, type ModelContext, toMessages } from '../model/model-context.ts';
import { createStepRetries } from '../model/step-retries.ts';
import { type PreparedCall, prepareCall } from '../tools/tool-call.ts';
import type { ToolRegistry } from '../tools/tool-registry.ts';
import { toCompletionTools } from '../tools/tool-registry.ts';

/** The session, as an answer of the model needs it. */
export interface GenerationHost {
  readonly state: SessionState;
  view(): Promise<ModelContext>;
  attachments: Parameters<typeof toMessages>[1];
  /** The provider's count for one of our tokens, as far as it is known. */
  tokensPerEstimate: number;
  /** The size at which a compaction was last tried, and gained nothing. Estimated tokens. */
  compactionTriedAt: number | undefined;
  /** Stores what came of it. Rejects where it never can be, or where the session has stopped. */
  submit(input: Input): Promise<void>;
  /** Ends the run as failed, as soon as that can be stored. */
  fail(runId: string, error: unknown): Promise<void>;
  setLive(step: LiveStep | undefined): void;
  changed(): void;
  /** Says that something is being said: it is not what brings the process down. */
  gotOn(): void;
  rules(): Promise<Parameters<typeof prepareCall>[1]['rules']>;
}

/** One answer of the model, from the question to its commit. */
export interface Generation {
  /** Of the step that it is. */
  readonly runId: string;
  readonly step: number;
  /** Shows what is said, and stores it: the state that it was begun for is committed. */
  go(): void;
  /** Stops it. What was said is stored, but where the answer is not wanted any more at all. */
  abort(how: 'keep' | 'drop'): void;
}

export interface GenerationOptions {
  /** The state that it begins for. */
  state: SessionState;
  /** The conversation then: the model is asked at once, before it is committed. */
  ahead: ModelContext | undefined;
  host: GenerationHost;
  deps: GenerationDeps;
}

export interface GenerationDeps {
  llm: LlmClient;
  registry: ToolRegistry;
  agents: Pick<Agents, 'find'>;
  log: Logger;
  settings: {
    model: string;
    /** How often in a row a step that gets nowhere is asked for again. */
    stepRetries: number;
    /** In tokens. */
    contextWindow: number;
    approvalTimeoutMs: number;
  };
}

export function startGeneration({ state, ahead, host, deps }: GenerationOptions): Generation {
  const run = state.run as RunState;
  const { runId, sessionId } = run.run;
  const { requestId } = run.input;
  const step = run.run.steps + 1;
  const { llm, registry, agents, settings } = deps;
  const abort = new AbortController();
  const { signal } = abort;
  const aborted = new Promise<undefined>((resolve) => signal.addEventListener('abort', () => resolve(undefined)));
  const log: Logger = deps.log.child({ requestId, sessionId, runId });
  let isDropped = false;
  let hasBegun = false;
  let withoutTools = false;
  let summaries = 0;

  const agentNow = () => agents.find(host.state.stored.session.agent);
  /** Estimated tokens of instructions and tools. */
  let overhead = 0;
  const instructions = (of: SessionState, { items }: ModelContext) => {
    const agent = agents.find(of.stored.session.agent);
    const { environment } = of.stored;
    const content = [agent.prompt, environment === undefined ? '' : toEnvironmentPrompt(environment)]
      .filter((part) => part !== '')
      .join('\n\n');
    const system: CompletionMessage[] = content === '' ? [] : [{ role: 'system', content }];
    const tools = withoutTools ? [] : toCompletionTools(registry.toolsFor(of.stored.tools, agent, items));
    overhead = estimateTokens(system) + Math.ceil(estimateTextTokens(JSON.stringify(tools)));
    return { system, tools };
  };
  const windowNow = () =>
    Math.max(settings.contextWindow / host.tokensPerEstimate - overhead, settings.contextWindow / 4);
  const modelNow = (of: SessionState) => modelOf(run, { state: of, env: { agents, settings } });

  /** The messages that the model was asked with last, without its instructions. */
  let conversation: CompletionMessage[] = [];
  const ask = (view: ModelContext, of: SessionState): LlmAnswer => {
    const { system, tools } = instructions(of, view);
    conversation = toMessages(view, host.attachments);
    const messages = [...system, ...conversation];
    const model = modelNow(of);
    const effort = effortOf(run, { state: of, env: { agents, settings } });
    const size = { messages: messages.length, tools: tools.length };
    log.debug({ step, model, effort, ...size, event: 'model.ask' }, 'the model is asked');
    const request: CompletionRequest = {
      model,
      messages,
      ...(tools.length > 0 ? { tools } : {}),
      ...(effort === undefined ? {} : { reasoning_effort: effort }),
    };
    return llm.stream(request, { signal, requestId, sessionId });
  };

  const askAhead = (view: ModelContext) => {
    instructions(state, view);
    return hasRoom({ view, attachments: host.attachments, window: windowNow() }) ? ask(view, state) : undefined;
  };
  let asked = ahead === undefined ? undefined : askAhead(ahead);

  /** Makes the view smaller where it fills the window. */
  const makeRoom = async (isForced: boolean): Promise<boolean> => {
    const view = await host.view();
    const tokensOf = (one: ModelContext) => estimateTokens(toMessages(one, host.attachments));
    const smaller = await compact({
      view,
      attachments: host.attachments,
      window: windowNow(),
      triedAt: host.compactionTriedAt,
      isForced,
      async summarize(messages) {
        host.compactionTriedAt = tokensOf(view);
        return summarize(messages);
      },
    });
    if (smaller === undefined || signal.aborted) return false;
    host.compactionTriedAt = undefined;
    const { items, summary, ...rest } = smaller;
    const tokensBefore = tokensOf(view);
    const tokensAfter = tokensOf(smaller);
    await host.submit({
      type: 'compact',
      runId,
      text: summary === view.summary ? '' : (summary ?? ''),
      compaction: { tokensBefore, tokensAfter },
      view: { ...rest, ...(summary === undefined ? {} : { summary }) },
    });
    log.info({ tokensBefore, tokensAfter, event: 'context.compacted' }, 'the context was compacted');
    return true;
  };

  const summarize = async (messages: CompletionMessage[]): Promise<string | undefined> => {
    let text = '';
    let isWhole = false;
    const model = modelNow(host.state);
    const spent: Array<Extract<CompletionChunk, { type: 'usage' }>> = [];
    await llm.stream({ model, messages }, { signal, requestId }).each((chunk) => {
      if (chunk.type === 'text') text += chunk.text;
      if (chunk.type === 'finish') isWhole = true;
      if (chunk.type === 'usage') spent.push(chunk);
      if (chunk.type === 'error')
        log.warn({ error: chunk.error, event: 'summary.failed' }, 'the conversation could not be summarised');
    });
    // Steps of the model's answers count from 1.
    for (const { usage, costUsd } of spent)
      await host.submit({ type: 'spend', runId, step: -(step * 100 + ++summaries), model, usage, costUsd });
    return isWhole && text.trim() !== '' ? text.trim() : undefined;
  };

  const readStep = async (asked: LlmAnswer): Promise<ModelStep> => {
    let isFirst = true;
    const live = createLiveStep({
      id: newId('s').slice(2),
      runId,
      step,
      onChange() {
        if (isFirst) {
          isFirst = false;
          host.setLive(live);
          host.gotOn();
        } else host.changed();
      },
    });
    const answer = await accumulateStep({ model: modelNow(host.state), answer: asked, live });
    const { inputTokens } = answer.usage;
    if (inputTokens > 1_000) {
      const estimated = estimateTokens(conversation) + overhead;
      host.tokensPerEstimate = Math.min(Math.max(inputTokens / estimated, 0.5), 3);
    }
    return answer;
  };

  /** One answer; where it breaks off it is asked for again, and what was shown of it is given up. */
  const readUnbroken = async (first: LlmAnswer): Promise<ModelStep> => {
    const retries = createStepRetries(settings.stepRetries);
    let spent: Pick<ModelStep, 'usage' | 'costUsd'> = { usage: noUsage, costUsd: undefined };
    for (let answer = first; ; ) {
      const read = await readStep(answer);
      const all = { ...read, ...addSpend(spent, read) };
      const { error } = read;
      const pauseMs = error === undefined || signal.aborted ? undefined : retries.next(error, lengthOf(read));
      if (error === undefined || pauseMs === undefined) return all;
      spent = all;
      log.warn({ code: error.code, pauseMs, event: 'step.retry' }, 'the answer broke off: the model is asked again');
      if (read.items.length > 0)
        await host.submit({
          type: 'retryStep',
          runId,
          discarded: read.items.map(({ itemId }) => itemId),
          notice: `The answer broke off, and is asked for again. ${error.message}`,
        });
      await withTimeout(pauseMs, aborted);
      if (signal.aborted) return { ...all, items: [] };
      answer = ask(await host.view(), host.state);
    }
  };

  const answer = async (): Promise<ModelStep> => {
    let chunks = asked;
    asked = undefined;
    if (chunks === undefined) {
      instructions(host.state, await host.view());
      await makeRoom(false);
      chunks = ask(await host.view(), host.state);
    }
    let read = await readUnbroken(chunks);
    if (read.error?.code === 'CONTEXT_WINDOW_EXCEEDED' && read.items.length === 0 && (await makeRoom(true)))
      read = await readUnbroken(ask(await host.view(), host.state));
    if (refusesTools(read) && !withoutTools) {
      withoutTools = true;
      read = await readUnbroken(ask(await host.view(), host.state));
    }
    return read;
  };

  const prepare = async ({ items }: ModelStep): Promise<PreparedCall[]> => {
    const calls = items.filter(({ toolCall, status }) => toolCall !== undefined && status === 'in_progress');
    if (calls.length === 0) return [];
    const { session, tools: announced } = host.state.stored;
    const agent = agentNow();
    const options = {
      runId,
      agent,
      tools: registry.toolsOf(announced, agent),
      registry,
      rules: await host.rules(),
      project: session.project,
      approvalTimeoutMs: settings.approvalTimeoutMs,
      signal,
      onError: (err: unknown) => log.error({ err, event: 'call.unchecked' }, 'a tool call could not be checked'),
    };
    return Promise.all(calls.map((item) => prepareCall(item, options)));
  };

  const work = async (): Promise<void> => {
    const read = await answer();
    if (isDropped) return;
    const prepared = await prepare(read);
    if (isDropped) return;
    await host.submit({ type: 'endStep', runId, step, answer: read, prepared, isAborted: signal.aborted });
  };

  return {
    runId,
    step,
    go() {
      if (hasBegun || isDropped) return;
      hasBegun = true;
      work().catch((err) => {
        if (isDropped) return;
        log.error({ err, event: 'run.broken' }, 'the run broke off');
        void host.fail(runId, err);
      });
    },
    abort(how) {
      if (how === 'drop') {
        isDropped = true;
        if (!hasBegun) asked?.drop();
      }
      abort.abort();
    },
  };
}

/** How much of an answer had come. UTF-16 code units. */
function lengthOf({ items }: ModelStep): number {
  return items.reduce((sum, { text }) => sum + text.length, 0);
}

/** Adds the usage of attempts that broke off. */
function addSpend(a: Pick<ModelStep, 'usage' | 'costUsd'>, b: Pick<ModelStep, 'usage' | 'costUsd'>) {
  const costUsd = a.costUsd === undefined ? b.costUsd : a.costUsd + (b.costUsd ?? 0);
  return { usage: addUsage(a.usage, b.usage), costUsd };
}

/** Small local models often take no tools, and say so. */
function refusesTools({ error, items }: ModelStep): boolean {
  return (
    error !== undefined &&
    items.length === 0 &&
    error.code === 'VALIDATION' &&
    /not support.{0,20}(tools|function)/i.test(error.message)
  );
}
