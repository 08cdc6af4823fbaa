import { Agent, createServer, get, request } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * A load balancer as small as can be: it sends requests in turn to those of its targets that said
 * at the last look that they are ready, over connections that it keeps; to all of them when none is.
 * It never tries again.
 *
 * Arguments: milliseconds between two looks, then the ports of the targets.
 */

const [everyMs, ...ports] = process.argv.slice(2).map(Number);
const agent = new Agent({ keepAlive: true });
const ready = new Set<number>();
let turn = 0;

for (const port of ports) look(port);

function look(port: number): void {
  const again = (isReady: boolean): void => {
    if (isReady) ready.add(port);
    else ready.delete(port);
    process.send?.({ ready: [...ready] });
    setTimeout(look, everyMs, port);
  };
  get({ port, host: '127.0.0.1', path: '/health/ready', agent: false }, (answer) => {
    answer.resume();
    answer.on('end', () => {
      again(answer.statusCode === 200);
    });
  }).on('error', () => {
    again(false);
  });
}

const server = createServer((from, to) => {
  const targets = ready.size > 0 ? [...ready] : ports;
  const port = targets[(turn += 1) % targets.length];
  const fail = (error: NodeJS.ErrnoException): void => {
    if (to.headersSent) to.destroy();
    else to.writeHead(502, error.code ?? error.message).end();
  };
  const { method, url, headers } = from;
  const call = request({ port, host: '127.0.0.1', method, path: url, headers, agent }, (answer) => {
    // What concerns one connection does not concern the other.
    const { connection, 'keep-alive': kept, ...rest } = answer.headers;
    to.writeHead(answer.statusCode ?? 502, rest);
    answer.on('error', fail);
    answer.pipe(to);
  });
  call.on('error', fail);
  from.pipe(call);
});
server.listen(0, '127.0.0.1', () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
