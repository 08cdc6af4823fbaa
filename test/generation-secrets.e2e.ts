import { afterAll, beforeAll, expect, it } from '@jest/globals';
import supertest from 'supertest';
import { openApiText } from '../src/api-document.js';
import { registerAdmin } from './administrators.js';
import { canary, findCanaries, findSecret } from './canaries.js';
import { apiRoutes } from './canary-requests.js';
import { eventually } from './eventually.js';
import { type GeminiAnswer, GeminiServer, pictureOf } from './gemini-server.js';
import { withCoins } from './generation-requests.js';
import { OtlpCollector } from './otlp-collector.js';
import { ProductProcess } from './product-process.js';
import { storedRows } from './stored-rows.js';
import { type Account, TestingApp } from './testing-app.js';

let gemini: GeminiServer;
let collector: OtlpCollector;
let app: TestingApp;
let api: ProductProcess;
let worker: ProductProcess;
let url: string;
let ana: Account;

/** Everything that was answered. */
const answers: string[] = [];

beforeAll(async () => {
  gemini = await GeminiServer.start();
  collector = await OtlpCollector.open();
  app = await TestingApp.start({ worker: false, variables: gemini.variables });
  const variables = {
    ...app.variables,
    LOG_LEVEL: 'trace',
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
  };
  ({ api, url } = await ProductProcess.startApi(variables));
  worker = await ProductProcess.start('worker', variables);
  ana = await withCoins(app, 10_000);
});

afterAll(async () => {
  await Promise.all([api.kill(), worker.kill()]);
  await app.close();
  await Promise.all([collector.close(), gemini.close()]);
});

async function send(method: 'get' | 'post', path: string, as: Account, body?: object) {
  const answer = await supertest(url)
    [method](path)
    .set('authorization', `Bearer ${as.token}`)
    .send(body);
  answers.push(JSON.stringify(answer.headers) + answer.text);
  return answer;
}

/** @returns how a request for a picture ended, or began if it takes longer */
async function generate(prompt: string, wait = 30) {
  const { body } = await send('post', `/api/v1/images/generate?wait=${wait}`, ana, { prompt });
  const { id, status, error } = body.generation;
  return { id, ended: error?.code ?? status };
}

/** Whatever Gemini can do to have its key told. */
function answersTelling(key: string): GeminiAnswer[] {
  const details = [{ reason: 'API_KEY_INVALID', metadata: { key } }];
  return [
    { parts: [{ text: key }, pictureOf(gemini.picture)] },
    { status: 400, reason: 'INVALID_ARGUMENT', details },
    { status: 403, reason: key },
    { status: 404, reason: 'NOT_FOUND', headers: { location: key } },
    { status: 429, details: [{ retryDelay: '3600s', key }], headers: { 'retry-after': key } },
    { status: 307, headers: { location: `${gemini.url}/${key}` } },
    { parts: [{ text: key }] },
    { parts: [pictureOf(Buffer.from(key), key)] },
    { blockReason: 'SAFETY' },
    { parts: [], finishReason: key },
  ];
}

/** What an administrator and whoever watches the server can see. */
async function lookAround(): Promise<void> {
  const admin = await registerAdmin(app);
  const routes = apiRoutes(JSON.parse(await openApiText()));
  const paths = routes
    .filter(({ method, path }) => method === 'GET' && !path.includes('{'))
    .map(({ path }) => path);
  expect(paths).toEqual(expect.arrayContaining(['/health/capabilities', '/api/v1/admin/mail']));
  for (const path of [...paths, '/metrics']) await send('get', path, admin);
  const { body } = await send('get', '/api/v1/admin/failed-jobs', admin);
  expect(body.items).toHaveLength(1);
  await send('get', `/api/v1/admin/failed-jobs/${body.items[0].id}`, admin);
}

it('the key of the model is told to nobody, nor a prompt to logs, whatever happens', async () => {
  const key = gemini.variables['GEMINI_API_KEY']!;
  const prompt = canary('prompt');
  const ends = [];
  for (const answer of answersTelling(key)) {
    gemini.next.push(answer);
    ends.push((await generate(prompt)).ended);
  }
  expect(ends).toEqual([
    ...['COMPLETED', 'unavailable', 'unavailable', 'model-retired', 'rate-limited'],
    ...['unavailable', 'no-image', 'bad-output', 'blocked', 'no-image'],
  ]);
  gemini.next.push({ status: 503, reason: key }, 'cut', { body: key });
  expect((await generate(prompt)).ended).toBe('COMPLETED');
  // A fault of ours, whose error quotes the row.
  await app.database.query(
    `alter table images add constraint full_up check (status <> 'PROCESSING') not valid`,
  );
  const { id } = await generate(prompt, 0);
  await eventually(
    () => app.database.query('select 1 from failed_jobs where row_id = $1', [id]),
    (rows) => rows.length > 0,
    60_000,
  );
  await lookAround();
  expect(gemini.requests.every((request) => request.key === key)).toBe(true);

  const logs = { api: api.output, worker: worker.output, spans: JSON.stringify(collector.spans) };
  const rows = await storedRows(app.database);
  expect(worker.output).toContain('Gemini answers 400 API_KEY_INVALID');
  expect(worker.output).toContain('Attempt failed');
  expect(collector.spans.length).toBeGreaterThan(0);
  for (const [where, text] of [...Object.entries(logs), ...rows, ['answers', answers.join()]]) {
    expect([where, findSecret(text!, key)]).toEqual([where, []]);
    expect([where, findSecret(text!, 'canary-from-google')]).toEqual([where, []]);
  }
  const carriers = [...rows].filter(([table]) => /^bullmq|failed_jobs|audit/.test(table));
  expect(carriers.map(([table]) => table)).toContain('public.failed_jobs');
  for (const [where, text] of [...Object.entries(logs), ...carriers]) {
    expect([where, findCanaries(text)]).toEqual([where, []]);
  }
  expect(findCanaries(rows.get('public.generations') ?? '')).not.toEqual([]);
}, 120_000);
