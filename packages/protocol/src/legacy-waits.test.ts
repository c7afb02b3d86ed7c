import { expect, it } from 'vitest';
import type { NewSessionEvent } from './event.ts';
import { createLegacyWaits } from './legacy-waits.ts';

const accepted = (inputId: string): NewSessionEvent => ({
  type: 'input.accepted',
  input: { inputId, sessionId: 's1', content: 'x', status: 'queued', createdAt: new Date(0) },
});
const delivered = (inputId: string): NewSessionEvent => ({ type: 'input.delivered', inputId, runId: 'run2' });
const requested = (callId: string, name: string) =>
  ({ type: 'approval.requested', approval: { callId, name } }) as NewSessionEvent;
const resolved = (callId: string): NewSessionEvent => ({
  type: 'approval.resolved',
  callId,
  decision: 'allow',
  by: 'user',
});
const state = (name: 'idle' | 'running' | 'waiting', queued = 0): NewSessionEvent => ({
  type: 'session.state',
  state: name,
  queued,
});
const frame = (tool: string, callId: string, messageId?: string) => ({
  type: 'waiting',
  content: `The message waits behind the approval of "${tool}".`,
  call_id: callId,
  tool_name: tool,
  ...(messageId === undefined ? {} : { message_id: messageId }),
});

const play = (...events: NewSessionEvent[]) => {
  const waits = createLegacyWaits((inputId) => (inputId === 'mine' ? 'm1' : undefined));
  return events.flatMap((event) => waits.push(event));
};
const asking = [requested('c1', 'write_file'), state('waiting')];

it('tells of a message that comes while a person is asked, and of its name', () => {
  expect(play(...asking, accepted('mine'), state('waiting', 1))).toEqual([frame('write_file', 'c1', 'm1')]);
});

it('tells of a message that was queued before the person was asked', () => {
  expect(play(state('running'), accepted('other'), state('running', 1), ...asking)).toEqual([
    frame('write_file', 'c1'),
  ]);
});

it('tells of each message once, whatever is asked while it waits', () => {
  const first = [...asking, accepted('one'), state('waiting', 1), accepted('one'), state('waiting', 1)];
  const next = [resolved('c1'), state('running', 1), requested('c2', 'run_command'), state('waiting', 1)];
  expect(play(...first, ...next, accepted('two'), state('waiting', 2))).toEqual([
    frame('write_file', 'c1'),
    frame('run_command', 'c2'),
  ]);
});

it.each<[string, NewSessionEvent[]]>([
  ['one that is delivered', [accepted('one'), delivered('one'), ...asking]],
  ['one that is cancelled', [accepted('one'), { type: 'input.cancelled', inputId: 'one' }, ...asking]],
  ['one behind a run that waits for nobody', [accepted('one'), state('running', 1)]],
  ['one whose approval is decided', [requested('c1', 'x'), resolved('c1'), accepted('one'), state('waiting', 1)]],
  [
    'what waited before a reset',
    [accepted('one'), { type: 'stream.reset', reason: 'restarted', items: [] }, ...asking],
  ],
])('is silent of %s', (_name, events) => {
  expect(play(...events)).toEqual([]);
});
