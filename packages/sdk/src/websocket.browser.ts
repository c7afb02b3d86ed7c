export const WebSocketClass = globalThis.WebSocket;
