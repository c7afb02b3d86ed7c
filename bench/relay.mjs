// A raw WebSocket relay: what three hops cost when nothing is looked at. The last one asks the provider and sends each event as a message.
import { Agent, request } from 'node:http';
import { WebSocket, WebSocketServer } from 'ws';

const target = new URL(process.argv[3]);
const agent = new Agent({ keepAlive: true });
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false }, () =>
  process.send({ port: server.address().port }),
);
server.on('connection', (socket) => {
  if (target.protocol === 'http:') return socket.on('message', (message) => complete(socket, String(message)));
  const next = new WebSocket(target, { perMessageDeflate: false });
  const early = [];
  socket.on('message', (message) =>
    next.readyState === WebSocket.OPEN ? next.send(String(message)) : early.push(message),
  );
  next.on('open', () => {
    for (const message of early.splice(0)) next.send(String(message));
  });
  next.on('message', (message) => socket.send(String(message)));
});

/** The message is `<id> <path>`; each answer `<id> <event>`, the last one `<id> end`. */
function complete(socket, message) {
  const [id, path] = message.split(' ');
  const body = '{"stream":true,"model":"fake-1","messages":[{"role":"user","content":"Hello!"}]}';
  const upstream = request(
    {
      agent,
      host: target.hostname,
      port: target.port,
      method: 'POST',
      path,
      headers: { 'content-length': body.length },
    },
    (answer) => {
      let held = '';
      answer.setEncoding('utf8');
      answer.on('data', (text) => {
        const events = (held + text).split('\n\n');
        held = events.pop();
        for (const event of events) socket.send(`${id} ${event}`);
      });
      answer.on('end', () => socket.send(`${id} end`));
    },
  );
  upstream.end(body);
}
