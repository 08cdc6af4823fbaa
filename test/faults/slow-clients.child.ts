import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lasted, SlowWay } from './slow-clients.ts';

/** A process that holds connections in slow ways, and notes how long each lasts. */

const EVERY_MS = 2_000;
/** How many are opened at once: a flood of connections is another attack. */
const TOGETHER = 50;
const PAUSE_MS = 100;

const lasted: Lasted = {};
const unread: Socket[] = [];

process.on('message', (word: { port: number; ways: SlowWay[] } | 'end') => {
  if (word === 'end') end();
  else void holdAll(word.port, word.ways);
});
process.send?.('ready');

async function holdAll(port: number, ways: SlowWay[]): Promise<void> {
  for (const way of ways) {
    lasted[way.name] = { opened: 0, closed: 0, longest: 0 };
    for (let n = 0; n < way.starts.length; n += 1) {
      hold(port, way, Buffer.from(way.starts[n] ?? '', 'base64'));
      if (n % TOGETHER === TOGETHER - 1) await sleep(PAUSE_MS);
    }
  }
  process.send?.('open');
}

function hold(port: number, way: SlowWay, start: Buffer): void {
  const figures = lasted[way.name];
  if (!figures) return;
  const socket = connect(port, '127.0.0.1');
  const openedAt = performance.now();
  figures.opened += 1;
  socket.on('error', () => undefined);
  socket.write(start);
  if (way.reads) socket.resume();
  else {
    socket.pause();
    unread.push(socket);
  }
  const dripping = setInterval(() => {
    if (way.again !== '' && socket.writable) socket.write(way.again);
  }, EVERY_MS);
  socket.on('close', () => {
    clearInterval(dripping);
    figures.closed += 1;
    figures.longest = Math.max(figures.longest, performance.now() - openedAt);
  });
}

function end(): void {
  for (const socket of unread) socket.destroy();
  process.send?.(lasted);
}
