import { afterEach, beforeEach } from 'vitest';
import { type FakeProvider, startFakeProvider } from './fake-provider.ts';
import { type Stack, type StackOptions, startStack } from './stack.ts';

/** What each test of a file has to itself. */
export interface Story {
  /** Answers as the test tells it to. */
  provider: FakeProvider;
  /** The three services, with `provider` behind them. */
  stack: Stack;
}

/** Gives each test of the file a new provider and a new stack, and closes them after it. */
export function useStory(options: StackOptions = {}): Story {
  const story = {} as Story;
  beforeEach(async () => {
    story.provider = await startFakeProvider();
    story.stack = await startStack({ providerUrl: story.provider.url, ...options });
  });
  afterEach(async () => {
    await story.stack.close();
    await story.provider.close();
  });
  return story;
}
