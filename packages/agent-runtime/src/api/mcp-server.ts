import { CallId, InputId, newId } from '@codelab/protocol';
import { logFailure, type ServiceContext, toCodelabError } from '@codelab/service-kit';
import { type NodeIncomingMessageLike, toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer, type ServerContext } from '@modelcontextprotocol/server';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { failureOf } from '../tools/mcp-secrets.ts';
import { type Caller, readMcpAnswer } from './mcp-answer.ts';
import type { MessageStreamOptions } from './message-stream.ts';

/** Most clients give up after 60 s. */
const DEFAULT_WAIT_S = 45;
const MAX_WAIT_S = 600;

/** Serves `/mcp`: agent-runtime as an MCP server for other agents. Streamable HTTP, without MCP sessions. */
export function mcpRoute({ router, makeContext, version }: MessageStreamOptions & { version: string }) {
  return async (app: FastifyInstance) => {
    app.post('/mcp', async (request, reply) => {
      const context = makeContext(request, request.id);
      if (context.refusal !== undefined) throw context.refusal;
      const gone = new AbortController();
      const caller = router.createCaller(context, { signal: gone.signal });
      reply.raw.once('close', () => gone.abort());
      const onerror = (error: Error) =>
        context.log.debug({ ...failureOf(error), event: 'mcp.refuse' }, 'a request to /mcp cannot be served');
      reply.hijack();
      // Nothing is ever told to those who listen, so that nobody can.
      const handler = createMcpHandler(() => createServer(caller, version, context), { maxSubscriptions: 0, onerror });
      await toNodeHandler(handler, { onerror })(request.raw as NodeIncomingMessageLike, reply.raw, request.body);
    });
    for (const method of ['GET', 'DELETE'] as const)
      app.route({
        method,
        url: '/mcp',
        // The answer has no secrets, so that it needs no key.
        config: { access: 'anybody' },
        handler: async (_request, reply) => {
          reply.header('allow', 'POST');
          return reply.status(405).send({
            jsonrpc: '2.0',
            error: { code: -32000, message: 'Send a POST: there is no stream to listen to and no session to end.' },
            id: null,
          });
        },
      });
  };
}

function createServer(caller: Caller, version: string, context: ServiceContext): McpServer {
  const server = new McpServer(
    { name: 'codelab-agent-runtime', version },
    { capabilities: { tools: { listChanged: false } } },
  );
  const sessionId = z.string().describe('As start_session gave it');
  const wait = z
    .int()
    .min(0)
    .max(MAX_WAIT_S)
    .default(DEFAULT_WAIT_S)
    .describe('How long to wait for the answer, in seconds');

  server.registerTool(
    'start_session',
    {
      description: 'Starts a conversation with an agent of CodeLab. Answers with its session_id.',
      inputSchema: z.object({
        agent: z.string().optional().describe('orchestrator, coder, architect, debug, ask, or one that was added'),
        model: z.string().optional(),
        title: z.string().max(200).optional(),
      }),
    },
    ({ agent, model, title }) =>
      toToolResult(context, async () => {
        const { session } = await caller.session.create({ agent, model, title });
        return { session_id: session.sessionId, agent: session.agent, model: session.model };
      }),
  );

  server.registerTool(
    'send_message',
    {
      description:
        'Sends a message into a session and waits for the answer. Its status is completed, cancelled, limit (cut off, or too many steps), running or waiting_for_approval. Where it takes longer, read_answer goes on waiting with the input_id; decide answers what it asks.',
      inputSchema: z.object({
        session_id: sessionId,
        message: z.string().min(1),
        input_id: InputId.optional().describe('Your name for the message: sending again with it is harmless'),
        wait_seconds: wait,
      }),
    },
    ({ session_id, message, input_id: inputId = newId('in'), wait_seconds }, request) =>
      toToolResult(context, async () => {
        await caller.input.send({ sessionId: session_id, inputId, content: message });
        return read({ session_id, input_id: inputId, wait_seconds }, request);
      }),
  );

  server.registerTool(
    'read_answer',
    {
      description: 'Waits for the answer to a message that was sent before.',
      inputSchema: z.object({ session_id: sessionId, input_id: InputId, wait_seconds: wait }),
      annotations: { readOnlyHint: true },
    },
    (args, request) => toToolResult(context, () => read(args, request)),
  );

  server.registerTool(
    'decide',
    {
      description: 'Decides on a tool call that a session asks about. Then read_answer goes on.',
      inputSchema: z.object({
        session_id: sessionId,
        call_id: CallId.describe('As the approval has it'),
        decision: z.enum(['allow', 'reject']),
        feedback: z.string().max(32_768).optional().describe('Of a reject: what to do instead'),
        scope: z.enum(['once', 'session', 'project']).default('once').describe('Of an allow: how long to remember it'),
      }),
    },
    ({ session_id, call_id, decision, feedback, scope }) =>
      toToolResult(context, () =>
        caller.approval.decide({ sessionId: session_id, callId: call_id, decision, feedback, scope, by: 'mcp' }),
      ),
  );

  server.registerTool(
    'cancel',
    { description: 'Stops what a session is working on.', inputSchema: z.object({ session_id: sessionId }) },
    ({ session_id }) => toToolResult(context, () => caller.run.cancel({ sessionId: session_id })),
  );

  const read = (args: { session_id: string; input_id: string; wait_seconds: number }, { mcpReq }: ServerContext) =>
    readMcpAnswer({
      caller,
      sessionId: args.session_id,
      inputId: args.input_id,
      waitMs: args.wait_seconds * 1000,
      signal: mcpReq.signal,
      onProgress: toProgressSender(mcpReq),
    });

  return server;
}

/** Returns what tells a client of progress; undefined where it does not want to hear of it. */
function toProgressSender({ _meta, notify }: ServerContext['mcpReq']): ((message: string) => void) | undefined {
  const progressToken = _meta?.progressToken;
  if (progressToken === undefined) return undefined;
  let progress = 0;
  return (message) => {
    progress++;
    const notification = { method: 'notifications/progress' as const, params: { progressToken, progress, message } };
    // A client that is gone hears nothing.
    notify(notification).catch(() => {});
  };
}

/** Returns a tool's result: JSON as text, or the failure. */
async function toToolResult(context: ServiceContext, work: () => Promise<unknown>) {
  try {
    const result = await work();
    return { content: [{ type: 'text' as const, text: JSON.stringify(result) }] };
  } catch (thrown) {
    const error = toCodelabError(thrown);
    if (error.code === 'INTERNAL') logFailure(context.log.child({ requestId: context.requestId }), error, '/mcp');
    const where = error.code === 'INTERNAL' ? ` (request id: ${error.requestId || context.requestId})` : '';
    return { content: [{ type: 'text' as const, text: `${error.code}: ${error.message}${where}` }], isError: true };
  }
}
