import { Agent, request } from 'node:http';
import type { Load, LoadReport } from './load.ts';
import { isDisturbed, monotonicMs, type Span, StandstillWatch } from './standstills.ts';

/** A process that sends honest requests at a steady rate until it is told to stop, and reports. */

const FILE_EVERY = 5;
const UPLOAD_EVERY = 40;
const TICK_MS = 5;

let agent = new Agent();
let timer: NodeJS.Timeout | undefined;
let counts = noCounts();
let answers: Span[] = [];
let underWay = new Set<Promise<void>>();
const watch = await StandstillWatch.start();

process.on('message', (word: Load | 'stop') => {
  if (word === 'stop') void stop();
  else start(word);
});
process.send?.('ready');

function noCounts() {
  return { sent: 0, connected: 0, answered: 0, refused: 0, dropped: {} as Record<string, number> };
}

function start(load: Load): void {
  agent = new Agent({ keepAlive: load.keepAlive, maxSockets: Infinity });
  counts = noCounts();
  answers = [];
  underWay = new Set();
  const startedAt = monotonicMs();
  timer = setInterval(() => {
    // As many as are due by now: a late timer does not lower the rate.
    const due = ((monotonicMs() - startedAt) / 1_000) * load.perSecond;
    while (counts.sent < due) {
      counts.sent += 1;
      const one = send(load, counts.sent).finally(() => underWay.delete(one));
      underWay.add(one);
    }
  }, TICK_MS);
}

async function stop(): Promise<void> {
  clearInterval(timer);
  await Promise.all(underWay);
  agent.destroy();
  const standstills = await watch.take();
  const timed = answers.filter((answer) => !isDisturbed(answer, standstills));
  const latencies = timed.map(({ from, to }) => to - from).sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? 0;
  const report: LoadReport = {
    ...counts,
    timed: timed.length,
    p50: at(0.5),
    p99: at(0.99),
    longest: latencies.at(-1) ?? 0,
  };
  process.send?.(report);
}

function send(load: Load, n: number): Promise<void> {
  const isUpload = load.upload !== undefined && n % UPLOAD_EVERY === 0;
  const isFile = load.filePath !== undefined && n % FILE_EVERY === 0;
  const body = isUpload ? formOf(Buffer.from(load.upload ?? '', 'base64')) : undefined;
  const path = isUpload
    ? '/api/v1/images/upload?force=true'
    : isFile
      ? load.filePath
      : '/api/v1/images';
  const from = monotonicMs();
  return new Promise((resolve) => {
    const failed = (what: string): void => {
      if (what === 'ECONNREFUSED') counts.refused += 1;
      else counts.dropped[what] = (counts.dropped[what] ?? 0) + 1;
      resolve();
    };
    const call = request(`${load.url}${path ?? ''}`, {
      agent,
      method: isUpload ? 'POST' : 'GET',
      headers: {
        authorization: `Bearer ${load.token}`,
        ...(body && {
          'content-type': 'multipart/form-data; boundary=b',
          'content-length': body.length,
        }),
      },
    });
    call.on('socket', (socket) => {
      if (socket.connecting) socket.once('connect', () => (counts.connected += 1));
    });
    call.on('error', (error: NodeJS.ErrnoException) => {
      failed(error.code ?? error.message);
    });
    call.on('response', (answer) => {
      answer.resume();
      answer.on('error', (error: NodeJS.ErrnoException) => {
        failed(`${error.code ?? error.message} within an answer`);
      });
      answer.on('end', () => {
        if ((answer.statusCode ?? 0) >= 300) {
          failed(`${answer.statusCode ?? 0} ${answer.statusMessage ?? ''}`);
          return;
        }
        counts.answered += 1;
        answers.push({ from, to: monotonicMs() });
        resolve();
      });
    });
    call.end(body);
  });
}

function formOf(file: Buffer): Buffer {
  const head = '--b\r\ncontent-disposition: form-data; name="image"; filename="x.jpg"\r\n\r\n';
  return Buffer.concat([Buffer.from(head), file, Buffer.from('\r\n--b--\r\n')]);
}
