import { readFile, rename, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readEnv } from '../src/core/env.js';
import { convertImage } from '../src/images/conversion/conversion.jobs.js';
import { freePort } from './free-port.js';
import { eventually } from './eventually.js';
import { Exposition } from './exposition.js';
import { ImageHolder, PATIENT } from './image-holder.js';
import { uploadPicture } from './image-requests.js';
import { makePicture } from './pictures.js';
import { rawRequest, sendRaw } from './raw-http.js';
import { readiness } from './readiness.js';
import { type TcpProxy } from './tcp-proxy.js';
import { type Account, TestingApp } from './testing-app.js';
import { duringConversion } from './under-way.js';

const JOB = { type: convertImage.name };
const HTTP = 'atelier_http_request_duration_seconds';
const LIST = '/api/v1/images';

let app: TestingApp;
let proxy: TcpProxy;
let account: Account;
/** A picture that takes a second or so. */
let large: Buffer;
/** Where the worker listens. */
let workerPort: number;
let workerUrl: string;

beforeAll(async () => {
  ({ app, proxy } = await TestingApp.startBehindProxy({ worker: false }));
  account = await app.register();
  large = await makePicture({ width: 5_000, height: 4_000 });
  workerPort = await freePort();
  workerUrl = `http://127.0.0.1:${workerPort}`;
});

afterAll(async () => {
  await app.close();
  await proxy.close();
});

/** A worker whose figures begin at zero. */
async function startWorker(variables: Record<string, string> = {}): Promise<void> {
  await app.worker?.stop();
  await app.startWorker({ WORKER_METRICS_PORT: String(workerPort), ...variables });
}

const scrapeApi = () => Exposition.of(app.url);
const scrapeWorker = () => Exposition.of(workerUrl);

/** Scrapes until a figure is there: an answer is measured a moment after it has arrived. */
async function settled(
  scrape: () => Promise<Exposition>,
  isThere: (seen: Exposition) => boolean,
): Promise<Exposition> {
  return eventually(scrape, isThere);
}

describe('requests', () => {
  it('are counted by route and status, exactly', async () => {
    const before = await scrapeApi();
    for (let each = 0; each < 3; each += 1) await app.as(account).get(LIST).expect(200);
    for (let each = 0; each < 2; each += 1) await app.http.get(LIST).expect(401);
    await app.as(account).get(`${LIST}/${account.userId}`).expect(404);
    const ok = { method: 'GET', route: LIST, status: '200' };
    const closed = { method: 'GET', route: LIST, status: '401' };
    const absent = { method: 'GET', route: `${LIST}/:id`, status: '404' };
    const after = await settled(scrapeApi, (seen) => seen.count(HTTP, absent) > 0);
    const rise = (labels: Record<string, string>) =>
      after.count(HTTP, labels) - before.count(HTTP, labels);
    expect([rise(ok), rise(closed), rise(absent)]).toEqual([3, 2, 1]);
    expect(after.value(`${HTTP}_sum`, ok)).toBeGreaterThan(0);
    // The scrape itself.
    expect(after.value('atelier_http_requests_in_flight')).toBe(1);
  });

  it('cannot make more labels, whatever their methods and paths are', async () => {
    const known = (await scrapeApi()).valuesOf('route', HTTP);
    const end = 'HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';
    for (const [method, path] of [
      ['PURGE', '/'],
      ['PROPFIND', LIST],
      ['M-SEARCH', '*'],
      ['GET', '/%'],
      ['GET', '/%ff/"}{\\'],
      ['GET', `/${'x'.repeat(9_000)}`],
      ['GET', `${LIST}/${'x'.repeat(400)}`],
      ['POST', '/upload/../../etc/passwd'],
    ]) {
      const { status } = await sendRaw(app.url, `${method} ${path} ${end}`);
      expect([path, Math.floor(status / 100)]).toEqual([path, 4]);
    }
    for (let each = 0; each < 50; each += 1) await app.http.get(`/nowhere/${each}`).expect(404);

    const count = { method: 'GET', route: 'unmatched', status: '404' };
    const seen = await settled(scrapeApi, (each) => each.count(HTTP, count) >= 50);
    expect(seen.count(HTTP, { method: 'OTHER', route: 'unmatched' })).toBe(3);
    expect(seen.count(HTTP, { route: 'unmatched', status: '400' })).toBeGreaterThan(0);
    const routes = [...seen.valuesOf('route', HTTP)].filter((route) => !known.has(route));
    expect(routes.filter((route) => route !== 'unmatched' && route !== '/metrics')).toEqual([]);
    expect([...seen.valuesOf('method', HTTP)].sort()).toEqual(
      expect.not.arrayContaining(['PURGE', 'PROPFIND', 'M-SEARCH']),
    );
  });

  it('whose client goes away are over, and told as 499', async () => {
    const form = new FormData();
    form.set('image', new Blob([new Uint8Array(await makePicture())]));
    const gone = new AbortController();
    const waiting = fetch(`${app.url}${LIST}/upload?wait=30&force=true`, {
      method: 'POST',
      headers: { authorization: `Bearer ${account.token}` },
      body: form,
      signal: gone.signal,
    });
    await eventually(
      () => app.database.query('select 1 from images where queued_at is not null'),
      (rows) => rows.length === 1,
    );
    expect((await scrapeApi()).value('atelier_http_requests_in_flight')).toBe(2);
    gone.abort();
    await expect(waiting).rejects.toThrow();
    const labels = { method: 'POST', route: `${LIST}/upload`, status: '499' };
    const seen = await settled(scrapeApi, (each) => each.count(HTTP, labels) > 0);
    expect(seen.count(HTTP, labels)).toBe(1);
    expect(seen.value('atelier_http_requests_in_flight')).toBe(1);
    await app.database.query('delete from images');
  });
});

describe('connections', () => {
  it('are counted while they are open, whether they are used or not', async () => {
    const scrape = rawRequest('GET', '/metrics', { host: '127.0.0.1' });
    // Each look has a connection of its own, and leaves none.
    const open = async () => {
      const { body } = await sendRaw(app.url, scrape);
      return new Exposition(body).value('atelier_http_connections');
    };
    // Those of other tests may be kept for long.
    app.app.getHttpServer().closeAllConnections();
    expect(await eventually(open, (count) => count === 1)).toBe(1);
    const sockets = Array.from({ length: 5 }, () => connect(Number(new URL(app.url).port)));
    expect(await eventually(open, (count) => count === 1 + 5)).toBe(1 + 5);
    for (const socket of sockets) socket.destroy();
    expect(await eventually(open, (count) => count === 1)).toBe(1);
  });
});

describe('a conversion', () => {
  it('is measured stage by stage, with what it stores', async () => {
    await startWorker();
    const uploads = Array.from({ length: 2 }, async () =>
      uploadPicture(app, account, await makePicture()),
    );
    const answers = await Promise.all(uploads);
    expect(answers.map(({ status }) => status)).toEqual([201, 201]);
    const completed = { ...JOB, outcome: 'completed' };
    const seen = await settled(
      scrapeWorker,
      (each) => each.count('atelier_job_duration_seconds', completed) === 2,
    );
    expect(seen.count('atelier_job_duration_seconds', JOB)).toBe(2);
    expect(seen.count('atelier_job_wait_seconds', JOB)).toBe(2);
    for (const stage of ['fetch', 'wait', 'decode', 'store']) {
      const times = seen.count('atelier_image_stage_duration_seconds', { stage });
      expect([stage, times]).toEqual([stage, 2]);
    }
    const stored = { driver: 'disk', operation: 'upload_file', outcome: 'completed' };
    expect(seen.count('atelier_storage_duration_seconds', stored)).toBe(8);
    const files = await app.database.query<{ bytes: string }>(
      'select sum(bytes) as bytes from image_variants',
    );
    expect(seen.value('atelier_storage_bytes_total', { direction: 'written' })).toBe(
      Number(files[0]?.bytes),
    );

    // What the API reads of it: a part, and all of it.
    const [image] = answers.map(({ body }) => body);
    const { url, bytes } = image.variants.large as { url: string; bytes: number };
    const before = await scrapeApi();
    await fetch(url, { headers: { range: 'bytes=10-19' } }).then((part) => part.arrayBuffer());
    await fetch(url).then((whole) => whole.arrayBuffer());
    const read = (each: Exposition) =>
      (each.value('atelier_storage_bytes_total', { direction: 'read' }) ?? 0) -
      (before.value('atelier_storage_bytes_total', { direction: 'read' }) ?? 0);
    expect(read(await settled(scrapeApi, (each) => read(each) >= bytes + 10))).toBe(bytes + 10);
  });

  it('that is refused is told apart', async () => {
    await app.worker?.stop();
    const { body } = await app
      .as(account)
      .post(`${LIST}/upload?force=true`)
      .attach('image', await makePicture(), 'x')
      .expect(202);
    // What is missing is refused by the last attempt.
    const [row] = await app.database.query<{ storage_key: string }>(
      'update images set attempts = 9 where id = $1 returning storage_key',
      [body.id],
    );
    await rm(join(app.variables['DATA_DIR'] ?? '', 'files', row?.storage_key ?? ''));
    await startWorker();
    const seen = await settled(
      scrapeWorker,
      (each) => each.count('atelier_job_duration_seconds', { outcome: 'refused' }) > 0,
    );
    expect(seen.count('atelier_job_duration_seconds', JOB)).toBe(1);
    const missed = { operation: 'download', outcome: 'not_found' };
    expect(seen.count('atelier_storage_duration_seconds', missed)).toBe(1);
    expect(seen.count('atelier_image_stage_duration_seconds', { stage: 'fetch' })).toBe(1);
    expect(seen.count('atelier_image_stage_duration_seconds', { stage: 'decode' })).toBe(0);
  });

  it('that kills its decoders counts their deaths', async () => {
    await startWorker({ IMAGE_DECODE_TIMEOUT_MS: '100' });
    const { body } = await uploadPicture(app, account, large);
    expect(body.error.code).toBe('decode-timeout');
    const seen = await scrapeWorker();
    expect(seen.value('atelier_decoder_deaths_total', { reason: 'timed_out' })).toBe(2);
    expect(seen.value('atelier_decoder_deaths_total')).toBe(2);
  });
});

describe('an attempt', () => {
  const outcomes = 'atelier_job_duration_seconds';

  /** Does something in the middle of an attempt. */
  async function duringAttempt(act: (id: string) => Promise<unknown>): Promise<void> {
    const accept = async (): Promise<string> => {
      const request = app.as(account).post(`${LIST}/upload?force=true`);
      return (await request.attach('image', large, 'x').expect(202)).body.id;
    };
    await duringConversion(app, { worker: app.worker!, accept }, act);
  }

  beforeAll(() => startWorker(PATIENT));

  it('that fails is told as retried, and the store is named', async () => {
    const incoming = join(app.variables['DATA_DIR'] ?? '', 'files/.incoming');
    const { body } = await app
      .as(account)
      .post(`${LIST}/upload?force=true`)
      .attach('image', await makePicture(), 'x');
    await uploadPicture(app, account, await makePicture());
    await rename(incoming, `${incoming}-away`);
    await app.as(account).post(`${LIST}/${body.id}/reprocess`).expect(202);
    const retried = { ...JOB, outcome: 'retried' };
    const seen = await settled(scrapeWorker, (each) => each.count(outcomes, retried) > 0);
    await rename(`${incoming}-away`, incoming);
    expect(seen.count(outcomes, retried)).toBe(1);
    const failed = { operation: 'upload_file', outcome: 'failed' };
    expect(seen.count('atelier_storage_duration_seconds', failed)).toBeGreaterThan(0);
  });

  it('whose row is deleted meanwhile has lost its lease', async () => {
    await duringAttempt((id) => app.as(account).delete(`${LIST}/${id}`).expect(204));
    const lost = { ...JOB, outcome: 'lease_lost' };
    const seen = await settled(scrapeWorker, (each) => each.count(outcomes, lost) > 0);
    expect(seen.count(outcomes, lost)).toBe(1);
  });

  it('that killed its worker each time is a dead letter', async () => {
    const { body } = await uploadPicture(app, account, await makePicture());
    await app.database.query(
      `update images set status = 'PENDING', attempts = $2, next_attempt_at = now(),
         queued_at = null where id = $1`,
      [body.id, convertImage.retry.attempts],
    );
    const dead = { ...JOB, outcome: 'dead_letter' };
    const seen = await settled(
      scrapeWorker,
      (each) => each.count(outcomes, dead) > 0 && (each.value('atelier_failed_jobs', JOB) ?? 0) > 0,
    );
    expect(seen.count(outcomes, dead)).toBe(1);
    expect(seen.value('atelier_failed_jobs', { ...JOB, status: 'FAILED' })).toBe(1);
    await app.database.query('delete from failed_jobs');
  });

  it('is finished by a worker that stops, which is not ready and still scraped', async () => {
    const stopping = app.worker;
    const holders: ImageHolder[] = [];
    await duringAttempt(async (id) => holders.push(await ImageHolder.hold(app, id)));
    stopping?.signal('SIGTERM');
    await readiness(workerUrl, 503);
    expect((await scrapeWorker()).families.has(outcomes)).toBe(true);
    for (const holder of holders) await holder.release();
    expect(await stopping?.ended()).toBe(0);
  });
});

describe('what waits', () => {
  it('is told of the queue, of due rows and of dead letters', async () => {
    await app.worker?.stop();
    for (let each = 0; each < 3; each += 1) {
      await app
        .as(account)
        .post(`${LIST}/upload?force=true`)
        .attach('image', await makePicture(), 'x')
        .expect(202);
    }
    // Long due, and for the reconciler in the queue all the while.
    await app.database.query(
      `update images set next_attempt_at = now() - interval '90 seconds',
         queued_at = now() + interval '1 hour' where status = 'PENDING'`,
    );
    // The worker cannot lease what it has taken off the queue, so it takes no more.
    const holder = await ImageHolder.hold(app);
    await startWorker({ IMAGE_CONCURRENCY: '1', ...PATIENT });
    await app.database.query(
      `insert into failed_jobs
         (id, type, row_id, data, error, fingerprint, attempts, status, created_at, updated_at)
       select gen_random_uuid(), $1, gen_random_uuid(), '{}', 'x', 'x', 1, status, now(), now()
       from unnest(array['FAILED', 'FAILED', 'RESOLVED']) as status`,
      [convertImage.name],
    );
    const waiting = await settled(
      scrapeWorker,
      (seen) =>
        seen.value('atelier_queue_depth', JOB) === 2 &&
        seen.value('atelier_due_rows', JOB) === 3 &&
        seen.value('atelier_failed_jobs', JOB) === 2,
    );
    expect(waiting.value('atelier_queue_depth', JOB)).toBe(2);
    expect(waiting.value('atelier_due_rows', JOB)).toBe(3);
    const age = waiting.value('atelier_oldest_due_age_seconds', JOB);
    expect(age).toBeGreaterThanOrEqual(90);
    expect(age).toBeLessThan(120);
    const failed = { ...JOB, status: 'FAILED' };
    expect(waiting.value('atelier_failed_jobs', failed)).toBe(2);
    expect(waiting.value('atelier_failed_jobs', { ...JOB, status: 'RETRYING' })).toBe(0);

    await holder.release();
    const done = await settled(
      scrapeWorker,
      (seen) =>
        seen.value('atelier_queue_depth', JOB) === 0 && seen.value('atelier_due_rows', JOB) === 0,
    );
    expect(done.value('atelier_oldest_due_age_seconds', JOB)).toBe(0);
  });

  it('is found by the reconciler, which counts it', async () => {
    const due = () => app.database.query('select 1 from file_removals where due_at <= now()');
    await eventually(due, (rows) => rows.length === 0);
    const sweep = { sweep: 'files to remove' };
    const found = (seen: Exposition) => seen.value('atelier_reconciler_found_total', sweep) ?? 0;
    const before = await scrapeWorker();
    await app.database.query(
      `insert into file_removals (id, target, due_at)
       select gen_random_uuid(), 'images/' || $1 || '/gone-' || number || '/x.webp', now()
       from generate_series(1, 3) as number`,
      [account.userId],
    );
    const after = await settled(scrapeWorker, (seen) => found(seen) - found(before) >= 3);
    expect(found(after) - found(before)).toBe(3);
    const completed = { ...sweep, outcome: 'completed' };
    expect(after.value('atelier_reconciler_runs_total', completed)).toBeGreaterThan(0);
    const sweeps = after.valuesOf('sweep', 'atelier_reconciler_found_total');
    expect(sweeps).toContain(`due rows of ${convertImage.name}`);
  });
});

describe('docs/operate.md', () => {
  it('names every metric that is exported, and no other', async () => {
    const [api, worker] = await Promise.all([scrapeApi(), scrapeWorker()]);
    const exported = new Map([...api.families, ...worker.families]);
    const guide = await readFile('docs/operate.md', 'utf8');
    const [, tables = ''] = /<!-- metrics:[^]*?-->([^]*)<!-- metrics end -->/.exec(guide) ?? [];
    const rows = [...tables.matchAll(/^\| `((?:atelier|nodejs|process)_\w+)` +\| (\w+)/gm)];
    const documented = rows.map(([, name, type]) => [name, type]);
    expect(documented.toSorted()).toEqual([...exported].toSorted());
  });

  it('is right about who exports what, and nothing is there twice', async () => {
    const [api, worker] = await Promise.all([scrapeApi(), scrapeWorker()]);
    const common = [
      'atelier_build_info',
      'atelier_database_pool_connections',
      'process_cpu_seconds_total',
    ];
    for (const name of common)
      expect([api.families.has(name), worker.families.has(name)]).toEqual([true, true]);
    for (const name of [HTTP, 'atelier_http_requests_in_flight', 'atelier_http_connections']) {
      expect([name, api.families.has(name), worker.families.has(name)]).toEqual([
        name,
        true,
        false,
      ]);
    }
    const pool = { pool: 'primary' };
    expect(worker.value('atelier_database_pool_connections', pool)).toBeGreaterThan(0);
    expect(worker.value('atelier_database_pool_waiting', pool)).toBe(0);
    const { DATABASE_POOL_SIZE } = readEnv(app.variables);
    expect(api.value('atelier_database_pool_max', pool)).toBe(DATABASE_POOL_SIZE);
    const { version } = JSON.parse(await readFile('package.json', 'utf8'));
    expect(api.value('atelier_build_info', { version, node: process.version })).toBe(1);
  });
});

describe('while the database is away', () => {
  it('scraping goes on, without what only the database knows', async () => {
    const before = await scrapeWorker();
    expect(before.value('atelier_due_rows', JOB)).toBe(0);
    proxy.cut();
    try {
      const seen = await settled(
        scrapeWorker,
        (each) => each.value('atelier_due_rows') === undefined,
      );
      const absent = ['due_rows', 'oldest_due_age_seconds', 'failed_jobs', 'queue_depth'];
      for (const name of absent) expect(seen.value(`atelier_${name}`)).toBeUndefined();
      for (const collector of ['due_rows', 'failed_jobs', 'queue']) {
        const errors = seen.value('atelier_scrape_errors_total', { collector });
        expect([collector, errors]).toEqual([collector, expect.any(Number)]);
        expect(errors).toBeGreaterThan(0);
      }
      expect(seen.count('atelier_job_duration_seconds', JOB)).toBeGreaterThan(0);
      const startedAt = performance.now();
      await Promise.all([scrapeApi(), scrapeWorker()]);
      expect(performance.now() - startedAt).toBeLessThan(3_000);
      expect((await fetch(`${workerUrl}/health`)).status).toBe(200);
      expect(await readiness(workerUrl, 503)).toMatchObject({ code: 'unavailable' });
    } finally {
      proxy.mend();
    }
    const back = await eventually(
      scrapeWorker,
      (seen) =>
        seen.value('atelier_due_rows', JOB) === 0 && seen.value('atelier_queue_depth', JOB) === 0,
      20_000,
    );
    expect(back.value('atelier_due_rows', JOB)).toBe(0);
    expect(back.value('atelier_queue_depth', JOB)).toBe(0);
  }, 60_000);
});
