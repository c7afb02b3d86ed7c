// biome-ignore-all lint/suspicious/noExplicitAny: bodies are looked into

/** What OpenAI's API would refuse of a conversation. https://platform.openai.com/docs/api-reference/chat/create */
export function openAiMistakes({ messages }: { messages: any[] }): string[] {
  const mistakes: string[] = [];
  const ids = new Set<string>();
  let waiting = new Set<string>();
  for (const [index, message] of messages.entries()) {
    const at = `messages.${index}`;
    if (message.role !== 'tool' && waiting.size > 0) {
      mistakes.push(`${at}: the calls ${[...waiting].join(', ')} have no result`);
      waiting = new Set();
    }
    if (message.role === 'tool') {
      if (!waiting.delete(message.tool_call_id)) mistakes.push(`${at}: a result for no open call`);
      if (typeof message.content !== 'string') mistakes.push(`${at}: a result without content`);
    }
    if (message.role !== 'assistant') continue;
    const calls: any[] = message.tool_calls ?? [];
    if (calls.length === 0 && !message.content) mistakes.push(`${at}: it says nothing`);
    if (message.tool_calls !== undefined && calls.length === 0) mistakes.push(`${at}: an empty list of calls`);
    for (const call of calls) {
      if (ids.has(call.id)) mistakes.push(`${at}: the id ${call.id} is there twice`);
      ids.add(call.id);
      waiting.add(call.id);
      try {
        JSON.parse(call.function.arguments);
      } catch {
        mistakes.push(`${at}: the arguments of ${call.id} are no JSON`);
      }
    }
  }
  if (waiting.size > 0) mistakes.push(`the calls ${[...waiting].join(', ')} have no result`);
  return mistakes;
}

/** What Anthropic's API would refuse of a conversation. https://docs.anthropic.com/en/api/messages */
export function anthropicMistakes({ messages }: { messages: any[] }): string[] {
  const mistakes: string[] = [];
  const ids = new Set<string>();
  let waiting = new Set<string>();
  let last = 'assistant';
  for (const [index, { role, content }] of messages.entries()) {
    const at = `messages.${index}`;
    if (role === last) mistakes.push(`${at}: two of ${role} in a row`);
    last = role;
    const blocks: any[] = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
    if (blocks.length === 0) mistakes.push(`${at}: it is empty`);
    for (const [count, block] of blocks.entries()) {
      if (block.type === 'text' && block.text.trim() === '') mistakes.push(`${at}.${count}: an empty text`);
      if (block.type === 'tool_result') {
        if (!waiting.delete(block.tool_use_id)) mistakes.push(`${at}.${count}: a result for no open call`);
        if (blocks.slice(0, count).some(({ type }) => type !== 'tool_result'))
          mistakes.push(`${at}.${count}: a result after something else`);
      }
    }
    if (role === 'user' && waiting.size > 0) {
      mistakes.push(`${at}: the calls ${[...waiting].join(', ')} have no result`);
      waiting = new Set();
    }
    for (const block of blocks) {
      if (block.type !== 'tool_use') continue;
      if (ids.has(block.id)) mistakes.push(`${at}: the id ${block.id} is there twice`);
      ids.add(block.id);
      waiting.add(block.id);
      if (typeof block.input !== 'object' || block.input === null) mistakes.push(`${at}: an input that is no object`);
    }
  }
  if (last !== 'user') mistakes.push('the last one is not of the user');
  return mistakes;
}
