import { WebSocket } from 'ws';

/** Node 20 has no WebSocket of its own. The browser build takes `websocket.browser.ts` in this file's place. */
export const WebSocketClass = WebSocket as unknown as typeof globalThis.WebSocket;
