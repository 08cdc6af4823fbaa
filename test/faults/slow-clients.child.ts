import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Attack, Lasted, SlowWay } from './slow-clients.ts';

/** A process that holds connections in slow ways, and notes how long each lasts. */

const EVERY_MS = 2_000;
/** After what pause a few more are opened. */
const PAUSE_MS = 100;
/** What a client that reads drop by drop reads at once, in bytes. */
const DROP_BYTES = 10;

/** How long those that read may take to hear at the end that they are closed, in milliseconds. */
const PATIENCE_MS = 5_000;

let lasted: Lasted = { openedAt: [], ways: {} };
let reading = 0;
let unread: Socket[] = [];

process.on('message', (word: Attack | 'end') => {
  void (word === 'end' ? end() : holdAll(word));
});
process.send?.('ready');

/** One of each way in turn. */
async function holdAll(attack: Attack): Promise<void> {
  const { ways, perSecond } = attack;
  const together = Math.ceil((perSecond * PAUSE_MS) / 1_000);
  for (const { name } of ways) lasted.ways[name] = { opened: 0, closed: 0, longest: 0 };
  const rests = new Map(ways.map((way) => [way, Buffer.from(way.rest ?? '', 'base64')]));
  const most = Math.max(...ways.map(({ starts }) => starts.length));
  for (let n = 0; n < most; n += 1) {
    for (const way of ways) {
      const start = way.starts[n];
      if (start === undefined) continue;
      hold(attack, way, [Buffer.from(start, 'base64'), rests.get(way) ?? '']);
      if (lasted.openedAt.length % together === 0) await sleep(PAUSE_MS);
    }
  }
  process.send?.('open');
}

function hold({ port, localAddress }: Attack, way: SlowWay, start: (Buffer | string)[]): void {
  const figures = lasted.ways[way.name];
  if (!figures) return;
  // Node would read 64 KiB ahead of whoever reads from it.
  const drop = { buffer: Buffer.alloc(DROP_BYTES), callback: () => false };
  const options = { port, host: '127.0.0.1', localAddress };
  const socket = connect(way.reads === 'drops' ? { ...options, onread: drop } : options);
  const openedAt = performance.now();
  lasted.openedAt.push(Date.now());
  figures.opened += 1;
  socket.on('error', () => undefined);
  for (const bytes of start) socket.write(bytes);
  if (way.reads === 'nothing') socket.pause();
  else socket.resume();
  if (way.reads === 'all') reading += 1;
  else unread.push(socket);
  const again = setInterval(() => {
    if (way.reads === 'drops') socket.resume();
    if (way.again !== '' && socket.writable) socket.write(way.again);
  }, EVERY_MS);
  socket.on('close', () => {
    clearInterval(again);
    if (way.reads === 'all') reading -= 1;
    figures.closed += 1;
    figures.longest = Math.max(figures.longest, performance.now() - openedAt);
  });
}

async function end(): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (reading > 0 && performance.now() < deadline) await sleep(PAUSE_MS);
  for (const socket of unread) socket.destroy();
  process.send?.(lasted);
  unread = [];
  lasted = { openedAt: [], ways: {} };
}
