import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from './eventually.js';
import { makePicture } from './pictures.js';
import { ProductProcess } from './product-process.js';
import { type Account, TestingApp } from './testing-app.js';

let app: TestingApp;
let account: Account;
let api: ProductProcess;
let worker: ProductProcess;
let url: string;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  account = await app.register();
  const variables = { ...app.variables, LOG_LEVEL: 'info' };
  ({ api, url } = await ProductProcess.startApi(variables));
  worker = await ProductProcess.start('worker', variables);
});

afterAll(async () => {
  await Promise.all([api.kill(), worker.kill()]);
  await app.close();
});

const linesOf = (process: ProductProcess) =>
  process.output
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** A line is written a moment after what it tells of. */
async function expectLine(process: ProductProcess, fields: Record<string, unknown>): Promise<void> {
  const matches = (line: Record<string, unknown>) =>
    Object.entries(fields).every(([name, value]) => line[name] === value);
  const lines = await eventually(
    async () => linesOf(process),
    (all) => all.some(matches),
  );
  expect(lines).toContainEqual(expect.objectContaining(fields));
}

describe('the logs', () => {
  it('follow a request by its id from the API into the job', async () => {
    const form = new FormData();
    form.set('image', new Blob([new Uint8Array(await makePicture())]));
    const answer = await fetch(`${url}/api/v1/images/upload?wait=30`, {
      method: 'POST',
      headers: { authorization: `Bearer ${account.token}`, 'x-request-id': 'follow-me' },
      body: form,
    });
    expect(answer.status).toBe(201);
    expect(answer.headers.get('x-request-id')).toBe('follow-me');
    const { id } = (await answer.json()) as { id: string };

    const request = {
      requestId: 'follow-me',
      method: 'POST',
      path: '/api/v1/images/upload',
      status: 201,
      level: 'info',
    };
    await expectLine(api, request);
    await expectLine(worker, { requestId: 'follow-me', rowId: id, outcome: 'completed' });
  });

  it('hold no secret, whatever went through the API', async () => {
    const password = 'canary-password-1234';
    const send = (path: string, body: unknown, headers: Record<string, string> = {}) =>
      fetch(`${url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
    const email = 'canary@example.com';
    const registered = await send('/auth/register', { email, password, name: 'x' });
    const { accessToken } = (await registered.json()) as { accessToken: string };
    const wrong = { email, password: 'canary-wrong-1234' };
    const answers = await Promise.all([
      send('/auth/login', wrong),
      send('/auth/login', { ...wrong, extra: 1 }),
      send('/auth/login', `{"password":"${password}"`),
      fetch(`${url}/api/v1/images`, { headers: { authorization: 'Bearer canary-token' } }),
      fetch(`${url}/api/v1/files/images/x.webp?expires=1&signature=canary-signature`),
    ]);
    expect(answers.every(({ status }) => status >= 400)).toBe(true);
    const bodies = await Promise.all(answers.map((answer) => answer.text()));
    await api.tells('/api/v1/files/images/x.webp');
    const seen = [api.output, worker.output, ...bodies].join('\n');
    for (const secret of [password, 'canary-', accessToken, 'tests sign their']) {
      expect(seen).not.toContain(secret);
    }
  });

  it('hold up no process that is to stop, when nobody is there to read them', async () => {
    const variables = { ...app.variables, LOG_LEVEL: 'info' };
    const left = await ProductProcess.start('worker', variables);
    left.stopReading();
    expect(await left.stop()).toBe(0);
  });

  it('hold up no process that is to stop, when their reader stands still', async () => {
    const { api: stuck, url: stuckUrl } = await ProductProcess.startApi({
      ...app.variables,
      LOG_LEVEL: 'info',
    });
    stuck.holdReading();
    // More than a pipe holds.
    for (let round = 0; round < 100; round += 1) {
      const answers = Array.from({ length: 20 }, () => fetch(`${stuckUrl}/api/v1/images`));
      for (const answer of await Promise.all(answers)) expect(answer.status).toBe(401);
    }
    expect(await stuck.stop()).toBe(0);
  });
});
