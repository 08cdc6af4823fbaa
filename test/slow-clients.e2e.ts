import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { offlineEnv } from '../src/core/env.js';
import { Connections } from '../src/core/http/connections.js';
import { eventually } from './eventually.js';
import { makePicture } from './pictures.js';
import { rawRequest, sendRaw } from './raw-http.js';
import { writeServedFile } from './served-file.js';
import { type Account, TestingApp } from './testing-app.js';

const LIMIT_MS = 1_000;
/** What a connection may live beyond its limit: the looks at it, and a busy machine. */
const SLACK_MS = 4_000;
const LARGE_BYTES = 20_000_000;

let app: TestingApp;
let account: Account;
/** The path of a file that the kernel cannot take in one go. */
let large: string;

const LIMITS = {
  REQUEST_TIMEOUT_MS: String(LIMIT_MS),
  UPLOAD_IDLE_TIMEOUT_MS: String(LIMIT_MS),
  KEEP_ALIVE_TIMEOUT_MS: String(LIMIT_MS),
};

beforeAll(async () => {
  app = await TestingApp.start({ worker: false, variables: LIMITS });
  account = await app.register();
  large = await writeServedFile(app, 'large', LARGE_BYTES);
});

afterAll(() => app.close());

interface Held {
  socket: Socket;
  /** Everything that came. */
  received: () => string;
  /** How long the connection lasted, in milliseconds, once it is closed. */
  lasted: Promise<number>;
}

/** Opens a connection, sends a beginning, and then the same again and again. */
function hold(url: string, start: string | Buffer, again = '', everyMs = 100): Held {
  const openedAt = performance.now();
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  let received = '';
  socket.on('error', () => undefined);
  socket.on('data', (bytes) => (received += bytes.toString('latin1')));
  socket.write(start);
  const dripping = setInterval(() => {
    if (again !== '' && socket.writable) socket.write(again);
  }, everyMs);
  const lasted = new Promise<number>((resolve) => {
    socket.on('close', () => {
      clearInterval(dripping);
      resolve(performance.now() - openedAt);
    });
  });
  return { socket, received: () => received, lasted };
}

function connections(of = app): Connections {
  return of.app.get(Connections);
}

/** The beginning of a request that is never complete. */
function beginning(path: string, headers: Record<string, string>): Buffer {
  return rawRequest('POST', path, {
    connection: 'keep-alive',
    'content-length': '1000000',
    ...headers,
  });
}

const GET_HEALTH = 'GET /health HTTP/1.1\r\nhost: x\r\n\r\n';
const JSON_TYPE = { 'content-type': 'application/json' };
const FORM_TYPE = { 'content-type': 'multipart/form-data; boundary=b' };
const FILE_PART = '--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n';

describe('a connection is closed in time', () => {
  const signedIn = () => ({ authorization: `Bearer ${account.token}` });

  it.each([
    ['on which nothing comes', () => '', '', 408],
    ['with headers that come a byte now and then', () => GET_HEALTH.slice(0, -2), 'x', 408],
    ['with empty lines before a request', () => '\r\n', '\r\n', 408],
    [
      'with JSON that comes a byte now and then',
      () => beginning('/api/v1/auth/login', { ...JSON_TYPE, 'content-length': '1000' }),
      ' ',
      408,
    ],
    [
      'with a form that comes a byte now and then',
      () =>
        Buffer.concat([
          beginning('/api/v1/images/upload', { ...FORM_TYPE, ...signedIn() }),
          Buffer.from(FILE_PART),
        ]),
      'x',
      408,
    ],
    [
      'with a form that was refused, and goes on',
      () => beginning('/api/v1/images/upload', FORM_TYPE),
      'x',
      401,
    ],
    ['with a body for nobody, which goes on', () => beginning('/nothing', FORM_TYPE), 'x', 404],
    [
      'with a body behind a GET, which goes on',
      () => Buffer.from(GET_HEALTH.replace('host', 'content-length: 1000000\r\nhost')),
      'x',
      200,
    ],
    [
      'with headers behind a request that come a byte now and then',
      () => GET_HEALTH + GET_HEALTH.slice(0, -2),
      'x',
      408,
    ],
    ['that is not used again', () => GET_HEALTH, '', 200],
  ])('%s', async (_name, start, again, status) => {
    const held = hold(app.url, start(), again);
    const lasted = await held.lasted;
    expect(held.received()).toContain(`HTTP/1.1 ${status} `);
    // Its own limit, and where an answer came first, the limit of what follows.
    expect(lasted).toBeGreaterThan(LIMIT_MS - 50);
    expect(lasted).toBeLessThan(2 * LIMIT_MS + SLACK_MS);
  });

  it.each([
    ['is not read', 0],
    ['is read by a few bytes now and then', 10],
  ])('whose answer %s, with all that waits for it', async (_name, bytes) => {
    const reader = read(app.url, large, bytes);
    await sleep(LIMIT_MS / 2);
    expect(connections().count).toBeGreaterThan(0);
    const left = await eventually(
      async () => connections().count,
      (count) => count === 0,
      LIMIT_MS + SLACK_MS,
    );
    expect(left).toBe(0);
    // A reset, so that the kernel keeps nothing either.
    expect(await reader.readOn()).toMatchObject({ code: 'ECONNRESET' });
    expect(reader.socket.bytesRead).toBeLessThan(LARGE_BYTES);
  });
});

/**
 * Asks for a file, and has the kernel read so many bytes of it ten times a second: a client of Node's
 * own reads 64 KiB ahead.
 */
function read(url: string, path: string, bytes: number) {
  let isEager = false;
  const onread = { buffer: Buffer.alloc(Math.max(1, bytes)), callback: () => isEager };
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', onread });
  const failed = once(socket, 'error').then(([error]: unknown[]) => error);
  socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
  if (bytes === 0) socket.pause();
  const reading = setInterval(() => {
    if (bytes > 0) socket.resume();
  }, 100);
  socket.once('close', () => {
    clearInterval(reading);
  });
  /** Reads all that is left. @returns what goes wrong then */
  const readOn = (): Promise<unknown> => {
    isEager = true;
    socket.resume();
    return failed;
  };
  return { socket, readOn };
}

describe('a client that is slow, and keeps on', () => {
  it('gets its upload through', async () => {
    const limitMs = 3 * LIMIT_MS;
    const names = Object.keys(LIMITS);
    const variables = Object.fromEntries(names.map((name) => [name, String(limitMs)]));
    const patient = await TestingApp.start({ worker: false, variables });
    try {
      const { token } = await patient.register();
      const picture = await makePicture({ width: 520, height: 440 });
      const body = Buffer.concat([Buffer.from(FILE_PART), picture, Buffer.from('\r\n--b--\r\n')]);
      expect(body.length).toBeGreaterThan(100_000);
      const held = hold(
        patient.url,
        beginning('/api/v1/images/upload', {
          ...FORM_TYPE,
          authorization: `Bearer ${token}`,
          'content-length': String(body.length),
        }),
      );
      // 20,000 bytes in half the time that 16 KiB may take.
      for (let at = 0; at < body.length; at += 4_000) {
        held.socket.write(body.subarray(at, at + 4_000));
        await sleep(limitMs / 10);
      }
      expect(await held.lasted).toBeGreaterThan(2 * limitMs);
      expect(held.received()).toContain('HTTP/1.1 202 ');
    } finally {
      await patient.close();
    }
  });

  it('goes on with its download, although the kernel has taken megabytes of it before', async () => {
    const startedAt = performance.now();
    const { socket } = read(app.url, large, 15_000);
    socket.removeAllListeners('error').on('error', () => undefined);
    await sleep(5 * LIMIT_MS);
    expect(socket.destroyed).toBe(false);
    const ticks = Math.ceil((performance.now() - startedAt) / 100);
    expect(socket.bytesRead).toBeLessThanOrEqual(ticks * 15_000);
    socket.destroy();
  });

  it('gets its download through, however long that takes', async () => {
    const held = hold(app.url, '');
    held.socket.removeAllListeners('data').pause();
    held.socket.write(`GET ${large} HTTP/1.1\r\nhost: x\r\n\r\n`);
    const startedAt = performance.now();
    let bytes = 0;
    while (bytes < LARGE_BYTES && !held.socket.destroyed) {
      bytes += (held.socket.read() as Buffer | null)?.length ?? 0;
      await sleep(10);
    }
    expect(bytes).toBeGreaterThan(LARGE_BYTES);
    expect(performance.now() - startedAt).toBeGreaterThan(2 * LIMIT_MS);
    held.socket.destroy();
  });
});

describe('an answer that comes bit by bit', () => {
  let server: Server;
  /** Writes one answer, and when it is over. */
  let write: (answer: ServerResponse) => Promise<void>;

  beforeAll(async () => {
    server = createServer((_request, answer) => {
      answer.on('error', () => undefined);
      void write(answer);
    });
    new Connections(offlineEnv(LIMITS)).watch(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });

  afterAll(() => {
    server.close();
  });

  const ask = () => hold(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, GET_HEALTH);

  it('ends with its connection when nobody reads it, although the kernel has room for it', async () => {
    write = async (answer) => {
      for (let part = 0; part < 10; part += 1) {
        answer.write(Buffer.alloc(64 * 1024));
        await sleep(10);
      }
    };
    const { socket } = ask();
    socket.removeAllListeners('data').pause();
    const [served] = (await once(server, 'connection')) as [Socket];
    const openedAt = performance.now();
    await once(served, 'close');
    const lasted = performance.now() - openedAt;
    expect(lasted).toBeGreaterThan(LIMIT_MS);
    expect(lasted).toBeLessThan(LIMIT_MS + SLACK_MS);
    socket.destroy();
  });

  it('goes on as long as its client reads what there is', async () => {
    write = async (answer) => {
      for (let part = 0; part < 8; part += 1) {
        answer.write('x');
        await sleep(LIMIT_MS / 2);
      }
      answer.end('the end');
    };
    const { socket, received } = ask();
    await eventually(
      async () => received(),
      (text) => text.includes('the end') || socket.destroyed,
    );
    expect(received()).toContain('the end');
    socket.destroy();
  });
});

describe('requests behind each other on one connection', () => {
  const get = (path: string, last = false) =>
    `GET ${path} HTTP/1.1\r\nhost: x\r\n${last ? 'connection: close\r\n' : ''}\r\n`;

  it('are answered in their order, one at a time', async () => {
    const paths = Array.from({ length: 30 }, (_, n) => `/problems/unknown-${n}`);
    const requests = paths.map((path, n) => get(path, n === paths.length - 1)).join('');
    const held = hold(app.url, requests);
    await held.lasted;
    expect(held.received().match(/HTTP\/1.1 404 /g)).toHaveLength(30);
  });

  it('are no reason to open files that nobody reads', async () => {
    const held = hold(app.url, '');
    held.socket.pause();
    const before = process.getActiveResourcesInfo().length;
    held.socket.write(get(large).repeat(20));
    await sleep(LIMIT_MS / 2);
    expect(process.getActiveResourcesInfo().length).toBeLessThan(before + 10);
    held.socket.destroy();
  });

  it('cost the connection when they are too many', async () => {
    // It keeps connections for half a minute.
    const lasting = await TestingApp.start({ worker: false });
    try {
      const held = hold(lasting.url, get('/api/v1/images').repeat(100));
      expect(await held.lasted).toBeLessThan(5_000);
      expect(held.received().length).toBeLessThan(1_000);
      await lasting.http.get('/health').expect(200);
    } finally {
      await lasting.close();
    }
  });
});

describe('more connections than MAX_CONNECTIONS', () => {
  it('are closed at once, and the others live', async () => {
    const small = await TestingApp.start({ worker: false, variables: { MAX_CONNECTIONS: '10' } });
    try {
      const held = Array.from({ length: 10 }, () => hold(small.url, GET_HEALTH));
      await eventually(
        async () => held.filter(({ received }) => received().includes('"ok"')).length,
        (count) => count === 10,
      );
      const start = performance.now();
      expect((await sendRaw(small.url, GET_HEALTH)).status).toBe(0);
      // One that had been let in would be kept for half a minute.
      expect(performance.now() - start).toBeLessThan(5_000);
      held[0]!.socket.destroy();
      await held[0]!.lasted;
      await eventually(
        async () => connections(small).count,
        (count) => count < 10,
      );
      expect((await sendRaw(small.url, rawRequest('GET', '/health', {}))).status).toBe(200);
      for (const { socket } of held) socket.destroy();
    } finally {
      await small.close();
    }
  });
});

describe('empty lines between two requests', () => {
  it('cost the connection in time, and those that are silent are kept', async () => {
    const variables = { REQUEST_TIMEOUT_MS: String(LIMIT_MS) };
    const other = await TestingApp.start({ worker: false, variables });
    try {
      const silent = hold(other.url, GET_HEALTH);
      const lasted = await hold(other.url, GET_HEALTH, '\r\n').lasted;
      expect(lasted).toBeGreaterThan(LIMIT_MS);
      expect(lasted).toBeLessThan(LIMIT_MS + SLACK_MS);
      silent.socket.write(GET_HEALTH);
      await eventually(
        async () => silent.received().match(/HTTP\/1.1 200 /g)?.length,
        (answers) => answers === 2,
      );
      expect(silent.received().match(/HTTP\/1.1 200 /g)).toHaveLength(2);
      silent.socket.destroy();
    } finally {
      await other.close();
    }
  });

  it('leave a proxy that is trusted the time of an idle connection', async () => {
    const keptMs = LIMIT_MS + SLACK_MS;
    const variables = {
      REQUEST_TIMEOUT_MS: String(LIMIT_MS),
      TRUST_PROXY: '127.0.0.0/8',
      KEEP_ALIVE_TIMEOUT_MS: String(keptMs),
    };
    const other = await TestingApp.start({ worker: false, variables });
    try {
      const lasted = await hold(other.url, GET_HEALTH, '\r\n').lasted;
      expect(lasted).toBeGreaterThan(keptMs);
      expect(lasted).toBeLessThan(keptMs + SLACK_MS);
    } finally {
      await other.close();
    }
  });
});

describe('between two requests', () => {
  it.each([
    ['a connection is kept half a minute', '', 30_000],
    ['that of a proxy which is trusted is kept longer', '127.0.0.0/8', 65_000],
  ])('%s', async (_name, TRUST_PROXY, keptMs) => {
    const other = await TestingApp.start({ worker: false, variables: { TRUST_PROXY } });
    try {
      const accepted = once(other.app.getHttpServer(), 'connection') as Promise<[Socket]>;
      const { socket, received } = hold(other.url, GET_HEALTH);
      const [served] = await accepted;
      await eventually(
        async () => received(),
        (text) => text.includes('"ok"'),
      );
      expect(served.timeout).toBeGreaterThanOrEqual(keptMs);
      expect(served.timeout).toBeLessThanOrEqual(keptMs + 1_000);
      socket.destroy();
    } finally {
      await other.close();
    }
  });
});

describe('a process that leaves', () => {
  it('answers on the connections that it has, closes them so, and takes no new ones', async () => {
    const leaving = await TestingApp.start({ worker: false });
    try {
      // What is used now and then is not taken for quiet.
      const inUse = hold(leaving.url, GET_HEALTH, GET_HEALTH, 500);
      const quiet = hold(leaving.url, GET_HEALTH);
      const sending = hold(
        leaving.url,
        beginning('/api/v1/auth/login', { ...JSON_TYPE, 'content-length': '1000' }),
      );
      await eventually(
        async () => connections(leaving).count,
        (count) => count === 3,
      );
      await eventually(
        async () => [inUse, quiet].every(({ received }) => received().includes('"ok"')),
        Boolean,
      );
      const drained = connections(leaving).drain(20_000);
      await eventually(
        () => sendRaw(leaving.url, rawRequest('GET', '/health', {})),
        ({ status }) => status === 0,
      );
      await inUse.lasted;
      const answers = inUse.received().split('HTTP/1.1 200 ').slice(1);
      expect(answers.length).toBeGreaterThan(1);
      const areLast = answers.map((answer) => /connection: close/i.test(answer));
      expect(areLast).toEqual(answers.map((_, n) => n === answers.length - 1));
      expect(await quiet.lasted).toBeGreaterThan(2_900);
      sending.socket.write('x'.repeat(1_000));
      await sending.lasted;
      expect(sending.received()).toContain('HTTP/1.1 400 ');
      await drained;
    } finally {
      await leaving.close();
    }
  });
});
