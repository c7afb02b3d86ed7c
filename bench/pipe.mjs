// What a chain can't be thinner than: a node:http server that pipes to a node:http client, looking at nothing.
import { Agent, request as ask, createServer } from 'node:http';

const target = new URL(process.argv[3]);
const agent = new Agent({ keepAlive: true });
const server = createServer((request, response) => {
  const upstream = ask(
    {
      agent,
      host: target.hostname,
      port: target.port,
      method: request.method,
      path: request.url,
      headers: request.headers,
    },
    (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    },
  );
  upstream.on('error', () => response.destroy());
  response.on('close', () => upstream.destroy());
  request.pipe(upstream);
});
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', 4096, () => process.send({ port: server.address().port }));
