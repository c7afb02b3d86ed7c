import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { contract, SessionEvent } from '../packages/protocol/src/index.ts';
import { root } from './setup.mjs';

const read = (path: string) => readFileSync(join(root, path), 'utf8');
const document = read('PROTOCOL.md');
const examples = [...document.matchAll(/```json\n(.*?)```/gs)].map(([, text]) => JSON.parse(text as string));
const types = SessionEvent.options.map((option) => option.shape.type.value);

const ajv = new Ajv2020({ strict: false });
ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const isEvent = ajv.compile(JSON.parse(read('packages/sdk/schema/session-event.schema.json')));

describe('PROTOCOL.md', () => {
  const events = examples.filter(({ type }) => typeof type === 'string');

  it('has an example of each event, which is one', () => {
    expect(events.map(({ type }) => type).sort()).toEqual([...types].sort());
    for (const event of events) expect([event.type, isEvent(event), isEvent.errors]).toEqual([event.type, true, null]);
  });

  it('has an example of a call that is one', () => {
    const calls = examples.filter(({ method }) => method !== undefined).map(({ params }) => params);
    expect(calls.map(({ path }) => path)).toEqual(['input.send', 'session.events']);
    contract.input.send.input.parse(calls[0].input.json);
    contract.session.events.input.parse(calls[1].input.json);
    const [sent] = examples.filter(({ result }) => result?.data.json.eventId !== undefined);
    contract.input.send.output.parse(sent.result.data.json);
  });

  it('has the sections that the sources name', () => {
    for (let section = 1; section <= 12; section++) expect(document).toContain(`\n## ${section}. `);
  });
});

describe('the JSON Schema of events', () => {
  it('takes what a later version may add to an event', () => {
    expect(isEvent({ type: 'session.deleted', sessionId: 'ses_1', seq: 1, ts: 1, more: { of: 'it' } })).toBe(true);
  });

  it.each([
    { type: 'session.deleted', seq: 1, ts: 1 },
    { type: 'session.deleted', sessionId: 'ses_1', seq: -1, ts: 1 },
    { type: 'item.delta', itemId: 'item_1', text: 'x', seq: 1, ts: 1 },
    { type: 'nothing.known', seq: 1, ts: 1 },
  ])('refuses %j', (event) => {
    expect(isEvent(event)).toBe(false);
  });
});
