import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request as sendRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FORWARDING_HEADERS } from '../src/core/metrics/metrics-access.js';
import { freePort } from './free-port.js';
import { eventually } from './eventually.js';
import { rawRequest, sendRaw } from './raw-http.js';
import { TestingApp } from './testing-app.js';

const TOKEN = 'it-has-sixteen-bytes';

let app: TestingApp;
/** Where the worker listens, on all addresses of the machine. */
let workerPort: number;
let workerUrl: string;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false, variables: { METRICS_TOKEN: TOKEN } });
  workerPort = await freePort();
  workerUrl = `http://127.0.0.1:${workerPort}`;
  await app.startWorker({ HOST: '0.0.0.0', WORKER_METRICS_PORT: String(workerPort) });
});

afterAll(() => app.close());

/** Opens a connection to the worker, which may be cut. */
function open(): Socket {
  return connect(workerPort, '127.0.0.1').on('error', () => undefined);
}

describe.each([
  ['API', () => app.url],
  ['worker', () => workerUrl],
])('the metrics of the %s', (_name, url) => {
  const statusWith = async (headers: Record<string, string>, base = url()) => {
    const { hostname, port } = new URL(base);
    const request = sendRequest({ hostname, port, path: '/metrics', headers });
    const answer = new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
      request.once('response', (response) => {
        text(response).then((body) => {
          resolve({ status: response.statusCode, body });
        }, reject);
      });
      request.once('error', reject);
    });
    request.end();
    return answer;
  };

  it('are open to the machine itself', async () => {
    expect((await statusWith({})).status).toBe(200);
    const { port } = new URL(url());
    expect((await statusWith({ host: `localhost:${port}` })).status).toBe(200);
  });

  it.each([
    ...['for', 'host', 'proto', 'port', 'server', 'prefix', 'by', 'ssl', 'client-cert']
      .map((part) => `x-forwarded-${part}`)
      .concat('x-forwarded', FORWARDING_HEADERS)
      .map((name) => ({ [name]: '127.0.0.1', host: 'localhost' })),
    { via: '' },
    // Cloudflare, told to keep the addresses of visitors to itself.
    { 'CF-Ray': '8f1e2d3c4b5a6978-FRA', host: 'localhost' },
    { 'CDN-Loop': 'cloudflare; loops=1', host: 'localhost' },
    { host: 'rebound.example.com' },
    { authorization: 'Bearer it-had-sixteen-bytes', host: 'api.example.com' },
    { authorization: 'Bearer', host: 'api.example.com' },
    { authorization: `Basic ${TOKEN}`, host: 'api.example.com' },
  ] as Record<string, string>[])('are closed to a request with %j', async (headers) => {
    const { status, body } = await statusWith(headers);
    expect([status, JSON.parse(body).code]).toEqual([401, 'metrics-closed']);
    expect(body).not.toContain('atelier_');
  });

  it('are closed to a request of a proxy behind more headers than anybody counts', async () => {
    const { port } = new URL(url());
    const many = 'a:\r\n'.repeat(3_500);
    const head = `GET /metrics HTTP/1.1\r\nhost: localhost:${port}\r\nconnection: close\r\n`;
    const { status } = await sendRaw(url(), `${head}${many}x-forwarded-for: 192.0.2.1\r\n\r\n`);
    expect(status).toBe(401);
  });

  it('go by the host of the target where it names one, whatever Host says', async () => {
    const { host } = new URL(url());
    const statusOf = async (target: string, host: string) =>
      (await sendRaw(url(), rawRequest('GET', target, { host }))).status;
    expect(await statusOf('http://evil.example/metrics', 'localhost')).toBe(401);
    expect(await statusOf('HTTPS://evil.example/metrics?a', 'localhost')).toBe(401);
    expect(await statusOf('ftp://evil.example/metrics', 'localhost')).toBe(401);
    expect(await statusOf('http://localhost@evil.example/metrics', 'localhost')).toBe(400);
    expect(await statusOf(`http://${host}/metrics`, 'evil.example')).toBe(200);
    expect(await statusOf(`http://${host}`, 'evil.example')).toBe(404);
  });

  it('are open to who has the token, wherever they are', async () => {
    const authorization = `Bearer ${TOKEN}`;
    const forwarded = { 'x-forwarded-for': '192.0.2.1', host: 'api.example.com' };
    const { status, body } = await statusWith({ ...forwarded, authorization });
    expect(status).toBe(200);
    expect(body).toContain('nodejs_eventloop_lag_p99_seconds');
  });
});

describe('the headers of proxies', () => {
  it('are those that docs/operate.md names', async () => {
    const page = await readFile('docs/operate.md', 'utf8');
    const [, list = ''] = /<!-- headers of proxies -->(.+?)<!-- \/ -->/s.exec(page) ?? [];
    const names = Array.from(list.matchAll(/`([^`]+)`/g), ([, name = '']) => name.toLowerCase());
    expect(names).toEqual(['x-forwarded', ...FORWARDING_HEADERS]);
  });
});

describe("the worker's server", () => {
  it('tells probes whether it lives and is ready', async () => {
    const live = await fetch(`${workerUrl}/health`);
    expect([live.status, await live.json()]).toEqual([200, { status: 'ok' }]);
    const ready = await fetch(`${workerUrl}/health/ready`);
    expect(await ready.json()).toEqual({
      status: 'ok',
      checks: { database: 'ok', migrations: 'ok', queue: 'ok', storage: 'ok' },
    });
    const head = await fetch(`${workerUrl}/metrics`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('answers problems for anything else', async () => {
    for (const [path, method, status, code] of [
      ['/', 'GET', 404, 'not-found'],
      ['/metrics/', 'GET', 404, 'not-found'],
      ['/metrics', 'POST', 405, 'method-not-allowed'],
      ['/health', 'DELETE', 405, 'method-not-allowed'],
    ] as const) {
      const body = method === 'POST' ? { body: 'unasked for' } : {};
      const answer = await fetch(`${workerUrl}${path}`, { method, ...body });
      expect([path, answer.status]).toEqual([path, status]);
      expect(answer.headers.get('content-type')).toContain('application/problem+json');
      expect(await answer.json()).toMatchObject({ code, status });
    }
    for (const request of [
      'nonsense\r\n\r\n',
      'GET /health HTTP/1.1\r\nconnection: close\r\n\r\n',
      'GET /health HTTP/1.1\r\nhost: x\r\nhost: y\r\nconnection: close\r\n\r\n',
    ]) {
      const { head, body } = await sendRaw(workerUrl, request);
      expect(head).toContain('content-type: application/problem+json');
      expect(JSON.parse(body)).toMatchObject({ code: 'malformed', status: 400 });
    }
  });

  it('answers a head that is too large as the API does', async () => {
    const request = `GET /metrics HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`;
    const { status, body } = await sendRaw(workerUrl, request);
    expect([status, JSON.parse(body).code]).toEqual([431, 'headers-too-large']);
  });

  it('lets nobody hold a connection with half a request', async () => {
    const startedAt = performance.now();
    const { status, body } = await sendRaw(workerUrl, 'GET /metrics HTTP/1.1\r\nhost: x\r\n');
    expect([status, JSON.parse(body).code]).toEqual([408, 'request-timeout']);
    expect(performance.now() - startedAt).toBeLessThan(15_000);
  });

  it('answers probes while others hold more connections than it keeps', async () => {
    let isOver = false;
    let reopened = 0;
    const hold = (): void => {
      if (isOver) return;
      const socket = open();
      held.add(socket);
      socket.write('GET /health HTTP/1.1\r\nhost: x\r\nx-slow: ');
      socket.on('close', () => {
        held.delete(socket);
        reopened += 1;
        // Not at once, or this test would be busy with nothing else.
        setTimeout(hold, 20);
      });
    };
    const held = new Set<Socket>();
    for (let each = 0; each < 120; each += 1) hold();
    try {
      await eventually(
        () => Promise.resolve(reopened),
        (count) => count >= 40,
      );
      const statuses: number[] = [];
      for (let probe = 0; probe < 40; probe += 1) {
        const asked = sendRaw(workerUrl, rawRequest('GET', '/health', {}));
        statuses.push((await asked).status);
      }
      expect(statuses).toEqual(Array.from({ length: 40 }, () => 200));
    } finally {
      isOver = true;
      for (const socket of held) socket.destroy();
    }
  });

  it('cuts connections without a request first, and not those that are used', async () => {
    const used = open();
    const ask = async () => {
      const answer = once(used, 'data');
      used.write('GET /health HTTP/1.1\r\nhost: x\r\n\r\n');
      return String(await answer);
    };
    const others: Socket[] = [];
    for (let round = 0; round < 2; round += 1) {
      expect(await ask()).toContain('HTTP/1.1 200');
      others.push(...Array.from({ length: 98 }, open));
      // Who is answered behind them tells that all of them have come.
      expect((await sendRaw(workerUrl, rawRequest('GET', '/health', {}))).status).toBe(200);
    }
    const isCut = () => Promise.resolve(others.slice(0, 98).every(({ closed }) => closed));
    expect(await eventually(isCut, (all) => all)).toBe(true);
    expect(await ask()).toContain('HTTP/1.1 200');
    for (const socket of [used, ...others]) socket.destroy();
  });

  it('cuts a connection with many requests behind each other, and answers a few', async () => {
    const get = 'GET /health/ready HTTP/1.1\r\nhost: x\r\n';
    const few = await sendRaw(
      workerUrl,
      `${get}\r\n`.repeat(3) + `${get}connection: close\r\n\r\n`,
    );
    expect(few.status).toBe(200);
    const flood = open();
    let received = 0;
    flood.on('data', ({ length }) => (received += length));
    flood.write(`${get}\r\n`.repeat(500));
    expect(
      await eventually(
        async () => flood.closed,
        (isClosed) => isClosed,
      ),
    ).toBe(true);
    expect(received).toBe(0);
  });

  const outside = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
  const withOutside = outside === undefined ? it.skip : it;

  withOutside('shows metrics to another address with the token alone', async () => {
    const url = `http://${outside ?? ''}:${workerPort}/metrics`;
    const statusOf = async (headers: Record<string, string>) =>
      (await fetch(url, { headers })).status;
    expect(await statusOf({})).toBe(401);
    expect(await statusOf({ host: 'localhost' })).toBe(401);
    expect(await statusOf({ authorization: `Bearer ${TOKEN}` })).toBe(200);
  });
});

describe('a worker that is asked to stop', () => {
  it('closes its server, whoever is connected', async () => {
    const idle = connect(workerPort, '127.0.0.1');
    const closed = text(idle);
    expect(await app.worker?.stop()).toBe(0);
    await closed.catch(() => undefined);
    await expect(fetch(`${workerUrl}/health`)).rejects.toThrow();
  });

  it('does not start on a port that is taken', async () => {
    const { port } = new URL(app.url);
    await expect(app.startWorker({ WORKER_METRICS_PORT: port })).rejects.toThrow(
      /WORKER_METRICS_PORT/,
    );
    app.worker = undefined;
  });
});
