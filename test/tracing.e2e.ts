import { basename } from 'node:path';
import { getQueueToken } from '@nestjs/bullmq';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Queue } from 'bullmq';
import { convertImage } from '../src/images/conversion/conversion.jobs.js';
import { eventually } from './eventually.js';
import { plainNames } from './image-requests.js';
import { OtlpCollector, type ReceivedSpan } from './otlp-collector.js';
import { makePicture } from './pictures.js';
import { ProductProcess } from './product-process.js';
import { type Account, TestingApp } from './testing-app.js';

const CLIENT_SPAN = '00f067aa0ba902b7';

let collector: OtlpCollector;
let app: TestingApp;
let account: Account;
let worker: ProductProcess | undefined;
let traceId: string;

beforeAll(async () => {
  collector = await OtlpCollector.open();
  app = await TestingApp.start({
    worker: false,
    variables: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: 'x-api-key=a%20key',
      OTEL_SERVICE_NAME: 'atelier-under-test',
    },
  });
  account = await app.register();
});

beforeEach(() => {
  traceId = crypto.randomUUID().replaceAll('-', '');
  collector.behaviour = 'takes';
});

afterAll(async () => {
  collector.behaviour = 'takes';
  collector.hangUp();
  await worker?.kill();
  await app.close();
  await collector.close();
});

async function startWorker(variables: Record<string, string> = {}): Promise<ProductProcess> {
  worker = await ProductProcess.start('worker', { ...app.variables, ...variables });
  return worker;
}

/** The first clients' upload, which waits for the picture, in a trace of the client's. */
async function upload(path: string, { sampled = true } = {}) {
  return app
    .as(account)
    .post(path)
    .set('traceparent', `00-${traceId}-${CLIENT_SPAN}-${sampled ? '01' : '00'}`)
    .set('x-request-id', `request-${traceId}`)
    .attach('image', await makePicture(), 'x');
}

/** The trace, once its last span has come. */
function wholeTrace(): Promise<ReceivedSpan[]> {
  return eventually(
    async () => collector.trace(traceId),
    (spans) =>
      ['process image-conversion', 'POST /api/v1/images/upload'].every((name) =>
        spans.some((span) => span.name === name),
      ),
  );
}

const named = (spans: ReceivedSpan[], name: string) => spans.filter((span) => span.name === name);

/** The names from a span up to the root, its own first. */
function pathOf(spans: ReceivedSpan[], span: ReceivedSpan): string[] {
  const parent = spans.find(({ spanId }) => spanId === span.parentSpanId);
  return [span.name, ...(parent ? pathOf(spans, parent) : [])];
}

const SERVER = 'POST /api/v1/images/upload';
const JOB = ['process image-conversion', 'send image-conversion', SERVER];

describe('a trace', () => {
  it('leads from the request through the queue to the variants', async () => {
    const tracing = await startWorker({ LOG_LEVEL: 'info' });
    const { body, status } = await upload('/upload');
    expect([status, body.status]).toEqual([201, 'COMPLETED']);
    const spans = await wholeTrace();

    const [server] = named(spans, SERVER);
    expect(server).toMatchObject({
      kind: 2,
      parentSpanId: CLIENT_SPAN,
      service: 'atelier-under-test',
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/api/v1/images/upload',
        'http.response.status_code': 201,
        'url.path': '/upload',
        'atelier.request_id': `request-${traceId}`,
      },
    });
    const [send] = named(spans, 'send image-conversion');
    expect([send?.kind, pathOf(spans, send!)]).toEqual([4, JOB.slice(1)]);
    const [job] = named(spans, 'process image-conversion');
    expect([job?.kind, pathOf(spans, job!)]).toEqual([5, JOB]);
    expect(job?.attributes).toMatchObject({
      'atelier.row_id': body.id,
      'atelier.attempt': 1,
      'atelier.outcome': 'completed',
      'atelier.request_id': `request-${traceId}`,
    });
    for (const stage of ['fetch', 'wait', 'decode', 'store']) {
      const found = named(spans, `image ${stage}`);
      expect(found.map((span) => pathOf(spans, span))).toEqual([[`image ${stage}`, ...JOB]]);
    }
    const stored = named(spans, 'storage upload_file');
    for (const span of stored) {
      expect(pathOf(spans, span)).toEqual(['storage upload_file', 'image store', ...JOB]);
    }
    const names = stored.map(({ attributes }) =>
      basename(String(attributes['atelier.storage.key'])),
    );
    expect(plainNames(names)).toEqual([
      'large-1.webp',
      'medium-1.webp',
      'original-1.jpg',
      'thumbnail-1.webp',
    ]);
    expect(spans.every(({ status }) => status !== 2)).toBe(true);
    expect(collector.headers['x-api-key']).toBe('a key');

    // The log tells the trace, too.
    const line = await tracing.tells(`"request-${traceId}"`);
    expect(JSON.parse(line)).toMatchObject({ traceId, rowId: body.id, outcome: 'completed' });
    expect(await tracing.stop()).toBe(0);
  });

  it('is the same when the carrier is lost and the reconciler hands the row over again', async () => {
    const { body, status } = await upload('/api/v1/images/upload?force=true');
    expect(status).toBe(202);
    const queue = app.app.get<Queue>(getQueueToken(convertImage.name), { strict: false });
    await queue.obliterate({ force: true });
    // As if the time after which a carrier counts as lost had gone by.
    await app.database.query(
      `update images set queued_at = now() - interval '1 hour' where id = $1`,
      [body.id],
    );
    const later = await startWorker();
    const spans = await wholeTrace();
    expect(named(spans, 'send image-conversion').length).toBe(2);
    const jobs = named(spans, 'process image-conversion');
    expect(jobs.map((job) => pathOf(spans, job))).toEqual([JOB]);
    expect(named(spans, 'storage upload_file').length).toBe(4);
    // The last spans are handed on before the process ends.
    expect(await later.stop()).toBe(0);
  });

  it('is recorded nowhere when the client decided so, and the row remembers that', async () => {
    const before = collector.spans.length;
    const { body } = await upload('/api/v1/images/upload?force=true', { sampled: false });
    const [row] = await app.database.query<{ trace_parent: string }>(
      'select trace_parent from images where id = $1',
      [body.id],
    );
    expect(row?.trace_parent).toMatch(new RegExp(`^00-${traceId}-[\\da-f]{16}-00$`));
    const idle = await startWorker();
    await eventually(
      () => app.database.query(`select 1 from images where status <> 'COMPLETED'`),
      (unfinished) => unfinished.length === 0,
    );
    expect(await idle.stop()).toBe(0);
    expect(collector.spans.slice(before)).toEqual([]);
  });

  it('begins anew for a client without one, or with nonsense', async () => {
    const before = collector.spans.length;
    for (const traceparent of ['', 'nonsense', `00-${'0'.repeat(32)}-${CLIENT_SPAN}-01`]) {
      await app.as(account).get('/api/v1/images/stats').set({ traceparent }).expect(200);
    }
    const roots = await eventually(
      async () => named(collector.spans.slice(before), 'GET /api/v1/images/stats'),
      (spans) => spans.length === 3,
    );
    expect(roots.map(({ parentSpanId }) => parentSpanId || undefined)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(new Set(roots.map((span) => span.traceId)).size).toBe(3);
  });

  it('has no error where a full quota is told', async () => {
    const full = await app.register();
    const send = async () =>
      app
        .as(full)
        .post('/api/v1/images/upload')
        .set('traceparent', `00-${traceId}-${CLIENT_SPAN}-01`)
        .attach('image', await makePicture(), 'x');
    expect((await send()).status).toBe(202);
    await app.database.query('update images set stored_bytes = $1 where user_id = $2', [
      Number.MAX_SAFE_INTEGER,
      full.userId,
    ]);
    expect((await send()).status).toBe(507);
    const [refused] = await eventually(
      async () =>
        named(collector.trace(traceId), SERVER).filter(
          ({ attributes }) => attributes['http.response.status_code'] === 507,
        ),
      ({ length }) => length === 1,
    );
    expect(refused?.status).toBe(0);
  });

  it('is not of probes and scrapes', async () => {
    const before = collector.spans.length;
    await app.http.get('/health').expect(200);
    await app.http.get('/health/ready').expect(200);
    await app.http.get('/metrics').expect(200);
    await app.http.get('/nowhere').expect(404);
    const since = await eventually(
      async () => collector.spans.slice(before),
      (spans) => spans.some(({ attributes }) => attributes['url.path'] === '/nowhere'),
    );
    expect(since.map(({ name }) => name)).toEqual(['GET']);
  });
});

describe('a collector', () => {
  it('that fails is told of once, and so is that it works again', async () => {
    collector.behaviour = 'fails';
    const tracing = await startWorker({ LOG_LEVEL: 'info' });
    const told = (text: string) => tracing.output.split(text).length - 1;
    for (let each = 1; each <= 2; each += 1) {
      const before = collector.requests;
      expect((await upload('/upload?force=true')).status).toBe(201);
      // Of the API and of the worker.
      await eventually(
        async () => collector.requests - before,
        (requests) => requests >= 2,
      );
    }
    await tracing.tells('takes no traces');
    collector.behaviour = 'takes';
    expect((await upload('/upload?force=true')).status).toBe(201);
    await tracing.tells('takes traces again');
    expect([told('takes no traces'), told('takes traces again')]).toEqual([1, 1]);
    expect(await tracing.stop()).toBe(0);
  });

  it.each([
    ['says nothing', () => collector.url],
    ['is away', () => 'http://127.0.0.1:1'],
  ])('that %s holds up neither work nor shutdown', async (_, url) => {
    collector.behaviour = 'says nothing';
    const tracing = await startWorker({ OTEL_EXPORTER_OTLP_ENDPOINT: url() });
    for (let each = 0; each < 2; each += 1) {
      expect((await upload('/upload?force=true')).status).toBe(201);
    }
    const askedAt = performance.now();
    expect(await tracing.stop()).toBe(0);
    expect(performance.now() - askedAt).toBeLessThan(6_000);
  });
});

describe('a process without an endpoint', () => {
  it('writes no trace into its rows', async () => {
    const silent = await TestingApp.start({ worker: false });
    try {
      const someone = await silent.register();
      await silent
        .as(someone)
        .post('/api/v1/images/upload')
        .set('traceparent', `00-${traceId}-${CLIENT_SPAN}-01`)
        .attach('image', await makePicture(), 'x')
        .expect(202);
      const rows = await silent.database.query('select trace_parent from images');
      expect(rows).toEqual([{ trace_parent: null }]);
    } finally {
      await silent.close();
    }
  });
});
