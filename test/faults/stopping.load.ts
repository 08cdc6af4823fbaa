import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { HelperProcess } from '../../bench/helper-process.js';
import { freePort } from '../../src/standalone/free-port.js';
import { makePicture } from '../pictures.js';
import { ProductProcess } from '../product-process.js';
import { type Account, TestingApp } from '../testing-app.js';
import { type Load, LoadProcess } from './load.js';

const PER_SECOND = 200;
/** How long the load runs before a process alone is asked to stop, in milliseconds. */
const ALONE_MS = 500;
/** The same for each of those behind a balancer. */
const RUN_MS = 1_500;

let app: TestingApp;
let account: Account;
let load: LoadProcess;
let upload: string;
const running: ProductProcess[] = [];

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  account = await app.register();
  load = await LoadProcess.start();
  upload = (await makePicture({ width: 200, height: 150 })).toString('base64');
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.kill()));
});

afterAll(async () => {
  load.close();
  await app.close();
});

async function startApi(variables: Record<string, string>, at?: number) {
  const started = await ProductProcess.startApi({ ...app.variables, ...variables }, at);
  running.push(started.api);
  return started;
}

function honest(url: string, keepAlive = true): Load {
  return { url, perSecond: PER_SECOND, keepAlive, token: account.token, upload };
}

describe('an API process alone that is asked to stop under 200 requests a second', () => {
  it.each([
    ['over connections that are kept', true, 4],
    ['each over a connection of its own', false, 10],
  ])(
    'answers every request that it let in, and refuses the rest: %s',
    async (_how, kept, times) => {
      for (let n = 0; n < times; n += 1) {
        const { api, url } = await startApi({ SHUTDOWN_LEAVE_MS: '100' });
        load.begin(honest(url, kept));
        await sleep(2 * ALONE_MS);
        api.signal('SIGTERM');
        expect(await api.ended()).toBe(0);
        const { sent, answered, refused, dropped } = await load.end();
        expect(dropped).toEqual({});
        expect(answered + refused).toBe(sent);
        // It went on for a while, and it did end.
        expect(answered).toBeGreaterThan((PER_SECOND * ALONE_MS) / 1_000);
        expect(refused).toBeGreaterThan(0);
      }
    },
  );
});

describe('two API processes behind a load balancer', () => {
  let balancer: HelperProcess;
  let ready: number[] = [];

  afterEach(() => {
    balancer.kill();
  });

  async function startBalancer(everyMs: number, ports: number[]): Promise<string> {
    const args = [everyMs, ...ports].map(String);
    balancer = new HelperProcess(new URL('./balancer.child.ts', import.meta.url), { args });
    ready = [];
    let own: number | undefined;
    balancer.onMessage((message) => {
      const word = message as { ready?: number[]; port?: number };
      ready = word.ready ?? ready;
      own = word.port ?? own;
    });
    while (own === undefined || ready.length < ports.length) await balancer.nextMessage();
    return `http://127.0.0.1:${own}`;
  }

  it.each([
    [100, 3],
    [500, 2],
  ])(
    'can be stopped and started in turn, and no request fails: it looks every %d ms',
    async (everyMs, times) => {
      const ports = [await freePort(), await freePort()];
      const variables = { TRUST_PROXY: '127.0.0.1' };
      const apis = await Promise.all(ports.map((port) => startApi(variables, port)));
      load.begin(honest(await startBalancer(everyMs, ports)));
      for (let n = 0; n < times; n += 1) {
        await sleep(RUN_MS);
        const index = n % 2;
        const { api } = apis[index]!;
        api.signal('SIGTERM');
        expect(await api.ended()).toBe(0);
        apis[index] = await startApi(variables, ports[index]);
        while (ready.length < ports.length) await balancer.nextMessage();
      }
      const report = await load.end();
      expect(report.dropped).toEqual({});
      expect(report.answered).toBe(report.sent);
      expect(report.sent).toBeGreaterThan(times * PER_SECOND);
    },
  );
});
