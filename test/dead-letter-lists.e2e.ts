import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import { convertImage } from '../src/images/conversion/conversion.jobs.js';
import { registerAdmin } from './administrators.js';
import { ImageHolder } from './image-holder.js';
import { makePicture } from './pictures.js';
import { type Account, TestingApp } from './testing-app.js';

const LETTERS = '/api/v1/admin/failed-jobs';

let app: TestingApp;
let admin: Account;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  admin = await registerAdmin(app);
});

beforeEach(() => app.database.query('delete from failed_jobs'));

afterAll(() => app.close());

interface Letter {
  type?: string;
  rowId?: string;
  error?: string;
  fingerprint?: string;
  status?: string;
  /** How long ago it failed, in minutes. */
  minutesAgo?: number;
}

/** Writes a dead letter, as a worker of some release has left it. @returns its id */
async function write({
  type = convertImage.name,
  rowId = newId(),
  error = 'Error: x\n    at y',
  fingerprint = '0123456789abcdef',
  status = 'FAILED',
  minutesAgo = 0,
}: Letter = {}): Promise<string> {
  const id = newId();
  await app.database.query(
    `insert into failed_jobs (id, type, row_id, data, error, fingerprint, attempts, status, retries,
       request_id, created_at, failed_at, updated_at)
     select $1, $2, $3, jsonb_build_object('imageId', $3::uuid), $4, $5, 10, $6, 0, 'request',
       at - interval '1 day', at, at from (select now() - make_interval(mins => $7) as at)`,
    [id, type, rowId, error, fingerprint, status, minutesAgo],
  );
  return id;
}

const get = (query = '') => app.as(admin).get(`${LETTERS}${query}`);
const idsOf = (body: { items: { id: string }[] }) => body.items.map(({ id }) => id);
const statuses = async () => {
  const rows = await app.database.query<{ status: string; count: number }>(
    'select status, count(*)::int as count from failed_jobs group by status',
  );
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
};

/** Images of an account that have FAILED and whose dead letters say so. @returns their ids */
async function writeWithImages(count: number): Promise<string[]> {
  const owner = await app.register();
  const upload = app.as(owner).post('/api/v1/images/upload?force=true');
  const { body } = await upload.attach('image', await makePicture(), 'x').expect(202);
  const rows = await app.database.query<{ id: string }>(
    `insert into images select (jsonb_populate_record(images, jsonb_build_object(
         'id', gen_random_uuid(), 'status', 'FAILED', 'attempts', 10, 'next_attempt_at', null, 'queued_at', null,
         'error_code', 'internal-error'))).*
       from images, generate_series(1, $2::int) where images.id = $1 returning id`,
    [body.id, count],
  );
  const ids = rows.map(({ id }) => id);
  await Promise.all(ids.map((rowId) => write({ rowId })));
  return ids;
}

describe('the list of dead letters', () => {
  it('is answered in pages, those that failed last first', async () => {
    const ids = [];
    for (let each = 0; each < 5; each += 1) ids.push(await write({ minutesAgo: each }));
    const first = await get('?limit=2&total=true').expect(200);
    expect(idsOf(first.body)).toEqual(ids.slice(0, 2));
    expect(first.body.total).toBe(5);
    expect(first.body.items[0]).toEqual({
      id: ids[0],
      type: convertImage.name,
      rowId: expect.any(String),
      data: { imageId: first.body.items[0].rowId },
      error: 'Error: x\n    at y',
      fingerprint: '0123456789abcdef',
      attempts: 10,
      retries: 0,
      status: 'FAILED',
      requestId: 'request',
      createdAt: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
      failedAt: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
      updatedAt: expect.stringMatching(/^\d{4}-.*\.\d{3}Z$/),
    });
    const second = await get(`?limit=2&cursor=${first.body.nextCursor}`).expect(200);
    expect(idsOf(second.body)).toEqual(ids.slice(2, 4));
    const last = await get(`?limit=2&cursor=${second.body.nextCursor}`).expect(200);
    expect(idsOf(last.body)).toEqual(ids.slice(4));
    expect(last.body.nextCursor).toBeNull();
    expect(idsOf((await get('?limit=2&offset=3').expect(200)).body)).toEqual(ids.slice(3));
  });

  it('is filtered by type, status, fingerprint, time and text', async () => {
    const rowId = newId();
    const [old, other, done, quoted] = [
      await write({ minutesAgo: 60, rowId }),
      await write({ type: 'other-work', fingerprint: 'f'.repeat(16), minutesAgo: 30 }),
      await write({ status: 'RESOLVED', minutesAgo: 20 }),
      await write({ error: 'Error: 100% of_it\\n', minutesAgo: 10 }),
    ];
    const time = (minutesAgo: number) => new Date(Date.now() - minutesAgo * 60_000).toISOString();
    const cases: [string, string[]][] = [
      ['type=other-work', [other]],
      ['type=unknown', []],
      ['status=RESOLVED', [done]],
      [`fingerprint=${'f'.repeat(16)}`, [other]],
      [`from=${time(25)}`, [quoted, done]],
      [`to=${time(25)}`, [other, old]],
      [`from=${time(45)}&to=${time(15)}&status=FAILED`, [other]],
      [`text=${rowId.toUpperCase()}`, [old]],
      [`text=${encodeURIComponent('100% OF_IT\\')}`, [quoted]],
      ['text=100_', []],
      ['to=9999-12-31T23:59:59%2B23:59', [quoted, done, other, old]],
      ['from=0001-01-01T00:00:00-23:59&type=other-work', [other]],
    ];
    for (const [query, expected] of cases) {
      const { body } = await get(`?${query}`).expect(200);
      expect([query, idsOf(body)]).toEqual([query, expected]);
    }
  });

  it('is grouped by cause, with its first and its last time', async () => {
    await write({ error: 'Error: old\n  at z', minutesAgo: 50 });
    const sample = await write({ error: `Error: ${'new'.repeat(200)}\n  at z`, minutesAgo: 5 });
    await write({ fingerprint: 'f'.repeat(16), minutesAgo: 20 });
    await write({ type: 'other-work', minutesAgo: 30 });
    const { body } = await get('/groups?limit=2&total=true').expect(200);
    expect(body.total).toBe(3);
    expect(body.items).toEqual([
      {
        type: convertImage.name,
        fingerprint: '0123456789abcdef',
        count: 2,
        firstAt: expect.any(String),
        lastAt: expect.any(String),
        sampleId: sample,
        error: `Error: ${'new'.repeat(200)}`.slice(0, 300),
      },
      expect.objectContaining({ fingerprint: 'f'.repeat(16), count: 1, error: 'Error: x' }),
    ]);
    const [{ firstAt, lastAt }] = body.items;
    const minutes = (Date.parse(lastAt) - Date.parse(firstAt)) / 60_000;
    expect(Math.round(minutes)).toBe(24 * 60 + 45);
    const next = await get(`/groups?limit=2&cursor=${body.nextCursor}`).expect(200);
    expect(next.body.items).toMatchObject([{ type: 'other-work', count: 1 }]);
    expect(next.body.nextCursor).toBeNull();
    const some = await get('/groups?type=other-work').expect(200);
    expect(some.body.items).toHaveLength(1);
  });

  it.each([
    'limit=101',
    'status=failed',
    'from=yesterday',
    'from=2026-01-01',
    'from=2026-02-30T00:00:00Z',
    'to=0001-01-01T00:00:00%2B14:00',
    'to=9999-12-31T23:59:59-14:00',
    'to=0000-01-01T00:00:00Z',
    `to=2026-01-01T00:00:00.${'0'.repeat(200)}Z`,
    'text=',
    'text=%00',
    'fingerprint=0123456789abcdef0',
    'cursor=abc',
    'sort=type',
    'rowId=x',
  ])('refuses %s', async (query) => {
    for (const path of ['', '/groups']) {
      const { body } = await get(`${path}?${query}`).expect(422);
      expect(body.code).toBe('validation-failed');
    }
  });

  it('refuses a cursor of another list', async () => {
    const cursor = Buffer.from(JSON.stringify(['-createdAt', 'x', newId()])).toString('base64url');
    await get(`?cursor=${cursor}`).expect(422);
  });
});

describe('a dead letter', () => {
  it('is shown, and deleted once', async () => {
    const id = await write();
    await get(`/${id}`).expect(200);
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => app.as(admin).delete(`${LETTERS}/${id}`)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 404, 404, 404, 404]);
    const { body } = await get(`/${id}`).expect(404);
    expect(body.code).toBe('not-found');
    const entries = await app.database.query(
      `select actor_id, before from audit_entries join audit_details on entry_id = id
       where action = 'dead-letter.deleted' and target_id = $1`,
      [id],
    );
    expect(entries).toEqual([
      { actor_id: admin.userId, before: expect.objectContaining({ status: 'FAILED' }) },
    ]);
  });

  it('of a kind of job that is not known any more is not retried', async () => {
    const id = await write({ type: 'forgotten-work' });
    const { body } = await app.as(admin).post(`${LETTERS}/${id}/retry`).expect(409);
    expect(body.code).toBe('unknown-job');
    expect(await statuses()).toEqual({ FAILED: 1 });
  });

  it('that is not there is neither shown, retried nor deleted', async () => {
    const path = `${LETTERS}/${newId()}`;
    await app.as(admin).get(path).expect(404);
    await app.as(admin).post(`${path}/retry`).expect(404);
    await app.as(admin).delete(path).expect(404);
    await app.as(admin).get(`${LETTERS}/x`).expect(422);
    await app.as(admin).post(`${LETTERS}/x/retry`).expect(422);
  });

  it('is reached by the first clients’ routes', async () => {
    const id = await write({ type: 'forgotten-work' });
    expect(idsOf((await app.as(admin).get('/admin/failed-jobs').expect(200)).body)).toEqual([id]);
    await app.as(admin).get('/admin/queue-metrics').expect(200);
    await app.as(admin).post(`/admin/failed-jobs/${id}/retry`).expect(409);
    await app.as(admin).delete(`/admin/failed-jobs/${id}`).expect(204);
  });
});

describe('many dead letters', () => {
  const retry = (body: object) => app.as(admin).post(`${LETTERS}/retry`).send(body);
  const remove = (body: object) => app.as(admin).post(`${LETTERS}/delete`).send(body);
  const bulkEntries = (action: string) =>
    app.database.query<{ after: unknown }>(
      `select after from audit_entries join audit_details on entry_id = id
       where action = $1 and actor_id = $2 order by created_at desc`,
      [action, admin.userId],
    );

  it('are counted by a dry run, which changes nothing', async () => {
    await write();
    await write({ status: 'RESOLVED' });
    const filter = { type: convertImage.name };
    const before = await bulkEntries('dead-letters.deleted');
    expect((await retry({ filter, dryRun: true }).expect(200)).body).toEqual({
      ...{ dryRun: true, matched: 1, changed: 0 },
    });
    expect((await remove({ filter, dryRun: true }).expect(200)).body).toEqual({
      ...{ dryRun: true, matched: 2, changed: 0 },
    });
    expect(await statuses()).toEqual({ FAILED: 1, RESOLVED: 1 });
    expect(await bulkEntries('dead-letters.deleted')).toEqual(before);
  });

  it('are retried by a filter, their rows due again with fresh attempts', async () => {
    const images = await writeWithImages(450);
    const gone = await write();
    const unknown = await write({ type: 'forgotten-work' });
    const other = await write({ fingerprint: 'f'.repeat(16) });
    const filter = { fingerprint: '0123456789abcdef' };
    const { body } = await retry({ filter }).expect(200);
    expect(body).toEqual({ dryRun: false, matched: 452, changed: 451 });
    expect(await statuses()).toEqual({ RETRYING: 450, RESOLVED: 1, FAILED: 2 });
    expect((await get(`/${gone}`)).body.status).toBe('RESOLVED');
    expect((await get(`/${unknown}`)).body.status).toBe('FAILED');
    expect((await get(`/${other}`)).body.status).toBe('FAILED');
    const rows = await app.database.query(
      `select distinct status, attempts, error_code, lease_id, queued_at,
              next_attempt_at <= now() as due from images where id = any($1)`,
      [images],
    );
    expect(rows).toEqual([
      {
        ...{ status: 'PENDING', attempts: 0, error_code: null },
        ...{ lease_id: null, queued_at: null, due: true },
      },
    ]);
    const entries = await bulkEntries('dead-letters.retried');
    const counts = entries.map(({ after }) => (after as { count: number }).count);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(451);
    expect(entries[0]?.after).toMatchObject({ filter });
    expect((await retry({ filter }).expect(200)).body).toMatchObject({ changed: 0 });
  });

  it('are retried once each when several retry and delete them at once', async () => {
    const images = await writeWithImages(100);
    const requests = [
      ...Array.from({ length: 6 }, () => retry({ all: true })),
      ...Array.from({ length: 2 }, () => remove({ filter: { status: 'RESOLVED' } })),
    ];
    const answers = await Promise.all(requests);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    const [{ most } = { most: 0 }] = await app.database.query<{ most: number }>(
      'select max(retries) as most from failed_jobs where row_id = any($1)',
      [images],
    );
    expect(most).toBe(1);
    // What one has locked the others leave alone, but one of them has it.
    const retried = answers.slice(0, 6).reduce((sum, { body }) => sum + Number(body.changed), 0);
    expect(retried).toBe(100);
    expect(await statuses()).toEqual({ RETRYING: 100 });
  });

  it('are left alone where somebody holds their row', async () => {
    const [held = '', free = ''] = await writeWithImages(2);
    const holder = await ImageHolder.hold(app, held);
    try {
      expect((await retry({ all: true }).expect(200)).body).toEqual({
        ...{ dryRun: false, matched: 2, changed: 1 },
      });
    } finally {
      await holder.release();
    }
    const rows = await app.database.query<{ row_id: string }>(
      `select row_id from failed_jobs where status = 'RETRYING'`,
    );
    expect(rows).toEqual([{ row_id: free }]);
  });

  it('are deleted by a filter', async () => {
    await write();
    const kept = await write({ error: 'Error: else' });
    await write({ status: 'RESOLVED' });
    const filter = { text: 'error: X' };
    expect((await remove({ filter }).expect(200)).body).toEqual({
      ...{ dryRun: false, matched: 2, changed: 2 },
    });
    expect(idsOf((await get().expect(200)).body)).toEqual([kept]);
    expect((await bulkEntries('dead-letters.deleted'))[0]).toEqual({ after: { filter, count: 2 } });
    expect((await remove({ all: true }).expect(200)).body).toMatchObject({ changed: 1 });
    expect(await statuses()).toEqual({});
  });

  it('are not retried when they are not FAILED, whatever the filter says', async () => {
    await write({ status: 'RESOLVED' });
    const answer = await retry({ filter: { status: 'RESOLVED' } }).expect(200);
    expect(answer.body).toEqual({ dryRun: false, matched: 0, changed: 0 });
    expect(await statuses()).toEqual({ RESOLVED: 1 });
  });

  it.each([
    ['nothing', {}],
    ['an empty filter', { filter: {} }],
    ['no filter but a dry run', { dryRun: false }],
    ['all and a filter', { all: true, filter: { type: 'x' } }],
    ['not all', { all: false }],
    ['an unknown field of the filter', { filter: { typ: 'x' } }],
    ['an unknown field', { all: true, dryrun: true }],
    ['a flag as text', { all: true, dryRun: 'true' }],
    ['a filter that is a list', { filter: [] }],
    ['a filter that is nothing', { filter: null }],
    ['a status that is a list', { filter: { status: ['FAILED'] } }],
  ])('are not chosen by %s', async (_name, body) => {
    await write();
    await retry(body).expect(422);
    await remove(body).expect(422);
    expect(await statuses()).toEqual({ FAILED: 1 });
  });
});

describe('everybody else', () => {
  const id = newId();

  it.each([
    ['get', '/api/v1/admin/queue-metrics'],
    ['get', '/api/v1/admin/audit'],
    ['get', LETTERS],
    ['get', `${LETTERS}/groups`],
    ['get', `${LETTERS}/${id}`],
    ['post', `${LETTERS}/${id}/retry`],
    ['delete', `${LETTERS}/${id}`],
    ['post', `${LETTERS}/retry`],
    ['post', `${LETTERS}/delete`],
    ['get', '/admin/failed-jobs'],
    ['post', `/admin/failed-jobs/${id}/retry`],
  ] as const)('is kept out of %s %s', async (method, path) => {
    const user = await app.register('studio');
    const { body } = await app.as(user)[method](path).expect(403);
    expect(body.code).toBe('forbidden');
    await app.http[method](path).expect(401);
  });
});
