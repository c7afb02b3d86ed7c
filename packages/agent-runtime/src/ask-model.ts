import { addUsage, type CompletionChunk, type CompletionMessage, noUsage } from '@codelab/protocol';
import { compact, hasRoom } from './compaction.ts';
import { estimateTokens, toMessages, type View } from './context.ts';
import { type ModelStep, readModelStep } from './model-step.ts';
import { addToRun, newItem, type RunContext, showItem } from './run-context.ts';
import { createStepRetries } from './step-retries.ts';
import { toCompletionTools } from './tools/toolbox.ts';
import { within } from './within.ts';

/** Asks the model, and keeps what it is asked within its window. */
export interface ModelAsker {
  /** Makes the first call now, for `view`, where that needs no compaction: `askModel` takes it up. */
  askAhead(view: View): void;
  /** Whether the next answer has been asked for: what comes now is not part of the question. */
  readonly hasAsked: boolean;
  /** The call that was made ahead is not taken up. */
  forget(): void;
  /** One answer of the model. Never throws. */
  askModel(): Promise<ModelStep>;
}

export function createModelAsker(context: RunContext): ModelAsker {
  const { run, session, deps, requestId, log, signal } = context;
  const { store, llm, toolbox, settings } = deps;
  const { writes } = store;
  const { sessionId } = session;
  const { runId } = run;
  let asked: AsyncGenerator<CompletionChunk, void, undefined> | undefined;
  let withoutTools = false;
  let compactions = 0;

  /** What instructions and tools take of the window, in estimated tokens. */
  let overhead = 0;
  const instructions = () => {
    const agent = context.agentNow();
    const system: CompletionMessage[] = agent.prompt === '' ? [] : [{ role: 'system', content: agent.prompt }];
    const tools = withoutTools ? [] : toCompletionTools(toolbox.toolsOf(session.stored.tools, agent).values());
    overhead = estimateTokens(system) + Math.ceil(JSON.stringify(tools).length / 4);
    return { system, tools };
  };
  /** What is left of the window for what was said. */
  const windowNow = () =>
    Math.max(settings.contextWindow / session.tokensPerEstimate - overhead, settings.contextWindow / 4);

  const ask = (current = context.view): AsyncGenerator<CompletionChunk, void, undefined> => {
    const { system, tools } = instructions();
    const messages = [...system, ...toMessages(current, session.attachments)];
    return llm.stream(
      { model: context.modelNow(), messages, ...(tools.length > 0 ? { tools } : {}) },
      { signal, requestId },
    );
  };

  /** Makes the view smaller where it fills the window. */
  const makeRoom = async (isForced: boolean): Promise<boolean> => {
    const tokensBefore = estimateTokens(toMessages(context.view, session.attachments));
    const smaller = await compact({
      view: context.view,
      attachments: session.attachments,
      window: windowNow(),
      isForced,
      summarize,
    });
    if (smaller === undefined || signal.aborted) return false;
    const { items, summary, ...rest } = smaller;
    const stored = newItem(context, 'compaction', {
      text: summary === context.view.summary ? '' : (summary ?? ''),
      compaction: { tokensBefore, tokensAfter: estimateTokens(toMessages(smaller, session.attachments)) },
    });
    stored.hidden = { view: { ...rest, ...(summary === undefined ? {} : { summary }) } };
    await store.commit([writes.item(sessionId, stored)], { deadlineMs: settings.storeTimeoutMs });
    context.view = smaller;
    session.replaceView(smaller);
    showItem(context, stored);
    log.info({ tokensBefore, tokensAfter: stored.item.compaction?.tokensAfter }, 'the context was compacted');
    return true;
  };

  const summarize = async (messages: CompletionMessage[]): Promise<string | undefined> => {
    let text = '';
    let isWhole = false;
    const model = context.modelNow();
    for await (const chunk of llm.stream({ model, messages }, { signal, requestId })) {
      if (chunk.type === 'text') text += chunk.text;
      if (chunk.type === 'finish') isWhole = true;
      if (chunk.type === 'error') log.warn({ error: chunk.error }, 'the conversation could not be summarised');
      if (chunk.type !== 'usage') continue;
      addToRun(context, chunk.usage, chunk.costUsd);
      const { usage, costUsd } = chunk;
      await store
        .commit([writes.step({ runId, step: -++compactions, sessionId, model, usage, costUsd })])
        .catch((err) => log.warn({ err }, 'the usage of a summary could not be stored'));
    }
    return isWhole && text.trim() !== '' ? text.trim() : undefined;
  };

  const readStep = async (chunks: AsyncIterable<CompletionChunk>, model: string): Promise<ModelStep> => {
    const asWhole = estimateTokens(toMessages(context.view, session.attachments)) + overhead;
    const step = await readModelStep({
      runId,
      step: run.steps + 1,
      model,
      chunks,
      nextPosition: session.nextPosition,
      emit: session.emit,
      onOpen(stored) {
        session.opened(stored);
        context.gotOn();
      },
    });
    const { inputTokens } = step.usage;
    if (inputTokens > 1_000) session.tokensPerEstimate = Math.min(Math.max(inputTokens / asWhole, 0.5), 3);
    return step;
  };

  /** One answer; where it breaks off it is asked for again, and what was shown of it is given up. */
  const readUnbroken = async (chunks: AsyncIterable<CompletionChunk>, model: string): Promise<ModelStep> => {
    const retries = createStepRetries(settings.stepRetries);
    let spent: Pick<ModelStep, 'usage' | 'costUsd'> = { usage: noUsage, costUsd: undefined };
    let answer = chunks;
    for (;;) {
      const step = await readStep(answer, model);
      const all = { ...step, ...together(spent, step) };
      const { error } = step;
      const pauseMs = error === undefined || signal.aborted ? undefined : retries.next(error, lengthOf(step));
      if (error === undefined || pauseMs === undefined) return all;
      spent = all;
      log.warn({ code: error.code, pauseMs }, 'the answer broke off: the model is asked again');
      for (const stored of step.items) {
        session.closed(stored);
        session.emit({ type: 'item.discarded', itemId: stored.item.itemId, reason: 'retried' });
      }
      if (step.items.length > 0) await notice(`The answer broke off, and is asked for again. ${error.message}`);
      await within(pauseMs, context.aborted);
      if (signal.aborted) return { ...all, items: [] };
      answer = ask();
    }
  };

  const notice = async (text: string): Promise<void> => {
    const stored = newItem(context, 'notice', { text });
    try {
      await store.commit([writes.item(sessionId, stored)], { deadlineMs: settings.storeTimeoutMs });
      showItem(context, stored);
    } catch (err) {
      log.warn({ err }, 'a notice could not be stored');
    }
  };

  const askModel = async (): Promise<ModelStep> => {
    const model = context.modelNow();
    session.emit({ type: 'step.started', runId, model });
    let chunks = asked;
    asked = undefined;
    if (chunks === undefined) {
      instructions();
      await makeRoom(false);
      chunks = ask();
    }
    let step = await readUnbroken(chunks, model);
    if (step.error?.code === 'CONTEXT_WINDOW_EXCEEDED' && step.items.length === 0 && (await makeRoom(true)))
      step = await readUnbroken(ask(), model);
    if (refusesTools(step) && !withoutTools) {
      withoutTools = true;
      step = await readUnbroken(ask(), model);
    }
    return step;
  };

  return {
    askAhead(view) {
      instructions();
      if (hasRoom({ view, attachments: session.attachments, window: windowNow() })) asked = ask(view);
    },
    get hasAsked() {
      return asked !== undefined;
    },
    forget: () => void asked?.return().catch(() => {}),
    askModel,
  };
}

/** How much of an answer had come. UTF-16 code units. */
function lengthOf({ items }: ModelStep): number {
  return items.reduce((sum, { item }) => sum + item.text.length, 0);
}

/** What was spent on attempts that broke off was spent. */
function together(a: Pick<ModelStep, 'usage' | 'costUsd'>, b: Pick<ModelStep, 'usage' | 'costUsd'>) {
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
