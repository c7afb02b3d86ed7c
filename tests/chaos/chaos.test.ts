import { setTimeout as pause } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { makePostgres, makeSqlite, type TestDatabase } from '../support/database.ts';
import { startFakeProvider } from '../support/fake-provider.ts';
import { type ChaosClient, createClients, made, sentAgain } from './clients.ts';
import { answerOf, createRandom, type Plan, playModel, type Random, toMessage } from './plan.ts';
import { keys, startWorld, type World } from './world.ts';

const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);
const SECONDS = Number(process.env.CHAOS_SECONDS ?? 180);
const CLIENTS = Number(process.env.CHAOS_CLIENTS ?? 50);
const KILL_EVERY_MS = Number(process.env.CHAOS_KILL_EVERY_MS ?? 2_000);

const say = (line: string) => process.stdout.write(`${line}\n`);

/** One message, and what its sender was told. */
interface Asked {
  client: ChaosClient;
  plan: Plan;
  text?: string | undefined;
  error?: unknown;
  ms: number;
}

/** Answers of 0.5 to 20 s, most of them short; in clients with tools most make a call, and some of those wait for a person. */
function createPlan(random: Random, id: string, { hasTools }: ChaosClient): Plan {
  const gapMs = random.between(10, 80);
  const seconds = 0.5 * 40 ** (random.next() ** 2);
  const tool = !hasTools || random.isOneOf(0.3) ? 'none' : random.isOneOf(0.4) ? 'change' : 'look';
  return { id, gapMs, tokens: Math.max(1, Math.round((seconds * 1000) / gapMs)), tool };
}

async function ask(client: ChaosClient, plan: Plan): Promise<Asked> {
  const begun = performance.now();
  const outcome = await client.ask(plan).then(
    (text) => ({ text }),
    (error: unknown) => ({ error }),
  );
  return { client, plan, ...outcome, ms: Math.round(performance.now() - begun) };
}

interface StoredItem {
  kind: string;
  runId: string;
  text: string;
  status: string;
  toolCall?: { name: string; outcome?: string; result?: string; callId: string };
}

async function itemsOf(world: World, sessionId: string): Promise<StoredItem[]> {
  const all: StoredItem[] = [];
  for (let cursor = ''; ; ) {
    const url = `${world.urls.gateway}/api/v1/sessions/${sessionId}/items?limit=200${cursor && `&cursor=${cursor}`}`;
    const response = await fetch(url, { headers: { 'x-internal-auth': keys.gateway } });
    const page = (await response.json()) as { items: StoredItem[]; nextCursor?: string };
    all.unshift(...page.items);
    if (page.nextCursor === undefined) return all;
    cursor = page.nextCursor;
  }
}

/** Everything about a message that is not as it must be. */
function mistakesOf({ client, plan, text, error }: Asked, items: StoredItem[]): string[] {
  const mistakes: string[] = [];
  const where = `${client.door}, ${plan.id}`;
  const said = items.filter((item) => item.kind === 'user_message' && item.text === toMessage(plan));
  if (said.length === 0) mistakes.push(`lost: ${where}`);
  if (said.length > 1) mistakes.push(`twice: ${where}`);
  const run = items.filter(({ runId }) => runId === said[0]?.runId);
  const answers = run.filter(({ kind }) => kind === 'assistant_message').map((item) => item.text);
  if (error === undefined && answers.join('') !== answerOf(plan).join(''))
    mistakes.push(`the history is wrong: ${where}`);
  if (text !== undefined && text !== answers.join('')) mistakes.push(`the text is not what is stored: ${where}`);
  if (items.some(({ runId, status }) => runId === said[0]?.runId && status === 'in_progress'))
    mistakes.push(`open: ${where}`);
  for (const { toolCall } of run) {
    if (toolCall === undefined) continue;
    const result = plan.tool === 'look' ? `seen ${plan.id}` : `changed ${plan.id}`;
    if (toolCall.result !== result) mistakes.push(`a wrong result: ${where}: ${toolCall.outcome} ${toolCall.result}`);
    if (made.get(toolCall.callId) !== 1) mistakes.push(`a call made ${made.get(toolCall.callId)} times: ${where}`);
  }
  return mistakes;
}

const stores: Array<[string, () => Promise<TestDatabase>]> = [['SQLite', makeSqlite]];
if (process.env.TEST_DATABASE_URL) stores.push(['PostgreSQL', makePostgres]);

it.each(stores)(
  'nothing is lost, done twice, or shown wrong while services die and lines are cut, on %s',
  async (store, makeDatabase) => {
    const random = createRandom(seed);
    say(`seed ${seed}: CHAOS_SEED=${seed} npm run chaos plays it again`);
    made.clear();
    sentAgain.count = 0;
    const database = await makeDatabase();
    const provider = await startFakeProvider((call) => playModel(call, pause));
    const world = await startWorld(random, database.url, provider.url);
    const clients = createClients(world, CLIENTS);
    const until = Date.now() + SECONDS * 1000;
    const calm = world.disturb(KILL_EVERY_MS);
    const talk = async (client: ChaosClient, own: Random): Promise<Asked[]> => {
      const asked: Asked[] = [];
      for (let n = 0; Date.now() < until; n++)
        asked.push(await ask(client, createPlan(own, `${client.sessionId}-${n}`, client)));
      return asked;
    };
    const talks = clients.map((client) => talk(client, createRandom(random.between(1, 2 ** 30))));
    await pause(until - Date.now());
    await calm();
    const asked = (await Promise.all(talks)).flat();

    const mistakes: string[] = [];
    for (const { sessionId } of clients) {
      const items = await itemsOf(world, sessionId);
      for (const each of asked) if (each.client.sessionId === sessionId) mistakes.push(...mistakesOf(each, items));
    }
    const failed = asked.filter(({ error }) => error !== undefined);
    const times = asked.map(({ ms, plan }) => ms - plan.tokens * plan.gapMs).sort((a, b) => a - b);
    const late = (share: number) => times[Math.floor(times.length * share)];
    say(
      JSON.stringify({
        store,
        seed,
        seconds: SECONDS,
        clients: CLIENTS,
        disturbed: world.done,
        asked: asked.length,
        tools: asked.filter(({ plan }) => plan.tool !== 'none').length,
        approvals: asked.filter(({ plan }) => plan.tool === 'change').length,
        stepsAsked: provider.calls.length,
        sentAgain: sentAgain.count,
        failed: failed.length,
        mistakes: mistakes.length,
        lateMs: { p50: late(0.5), p95: late(0.95), max: times.at(-1) },
      }),
    );
    for (const { client, plan, error } of failed) say(`failed: ${client.door}, ${plan.id}: ${error}`);
    for (const error of world.errors()) say(error.slice(0, 500));
    for (const client of clients) client.close();
    await world.close();
    await provider.close();
    await database.remove();
    expect(mistakes).toEqual([]);
    expect(failed.map(({ client, error }) => `${client.door}: ${error}`)).toEqual([]);
  },
  (SECONDS + 600) * 1000,
);
