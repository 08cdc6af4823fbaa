import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { AccountErasure } from '../src/auth/account/account-erasure.js';
import { newId } from '../src/core/ids.js';
import { ResumableCompletion } from '../src/images/resumable/resumable-completion.js';
import { FileRemovals } from '../src/storage/file-removals.js';
import { filesOfUsers, tablesWith } from './left-behind.js';
import { eventually } from './eventually.js';
import { giveUp } from './given-up.js';
import { holdingAccount, uploadPicture } from './image-requests.js';
import { coinsOf, storedBalance } from './ledger.js';
import { makePicture } from './pictures.js';
import { finishedMails, settleMail } from './recovery-mail.js';
import { type Account, TestingApp } from './testing-app.js';
import { duringConversion } from './under-way.js';

const ADDRESS = '203.0.113.77';
const DEVICE = 'Canary Phone/7.7';

let app: TestingApp;
let picture: Buffer;

beforeAll(async () => {
  app = await TestingApp.start({
    variables: { APP_URL: 'https://app.example.com', TRUST_PROXY: '127.0.0.1' },
  });
  picture = await makePicture();
});

afterAll(() => app.close());

const erase = (account: Account, password: string | undefined = account.password) =>
  app.as(account).delete('/api/v1/me').send({ password });
const login = ({ email, password }: Account) =>
  app.http.post('/api/v1/auth/login').send({ email, password });
const refresh = ({ refreshToken }: Account) =>
  app.http.post('/api/v1/auth/refresh').send({ refreshToken });
const upload = (account: Account) =>
  app.as(account).post('/api/v1/images/upload').attach('image', picture, 'picture.jpg');
const erasure = () => app.app.get(AccountErasure, { strict: false });

async function count(table: string, { userId }: Account, column = 'user_id'): Promise<number> {
  const rows = await app.database.query(`select 1 from ${table} where ${column} = $1`, [userId]);
  return rows.length;
}

async function userOf({ userId }: Account) {
  const [user] = await app.database.query<Record<string, unknown>>(
    'select * from users where id = $1',
    [userId],
  );
  return user;
}

/** The studio of an account that registered with one. */
async function studioOf({ userId }: Account): Promise<string> {
  const [studio] = await app.database.query<{ id: string }>(
    'select studio_id as id from studio_members where user_id = $1',
    [userId],
  );
  return studio?.id ?? '';
}

const join = (studioId: string, { userId }: Account, role: 'OWNER' | 'STAFF') =>
  app.database.query(
    `insert into studio_members (studio_id, user_id, role, created_at) values ($1, $2, $3, now())`,
    [studioId, userId, role],
  );

/** Has everything that was to be removed of an account later be due. */
const hurryRemovals = ({ userId }: Account) =>
  app.database.query('update file_removals set due_at = now() where target like $1', [
    `images/${userId}/%`,
  ]);

/** Has the worker's sweeps done now. */
async function sweep(): Promise<void> {
  await eventually(
    async () => {
      await app.app.get(FileRemovals, { strict: false }).removeDue();
      return app.database.query('select 1 from file_removals where due_at <= now()');
    },
    (due) => due.length === 0,
  );
  await app.app.get(ResumableCompletion, { strict: false }).sweep();
}

/** Somebody of whom every table that can holds something. */
async function leaveTracks() {
  const canaries = {
    email: `canary-${newId()}@example.com`,
    wanted: `wanted-${newId()}@example.com`,
    firstName: 'Canaria',
    lastName: 'Kanarienvogel',
    studio: 'Canary Studio',
    address: ADDRESS,
    device: DEVICE,
    title: 'canary title',
    description: 'canary description',
    prompt: 'canary prompt',
    announced: 'canary announced',
    key: `canary-key-${newId()}`,
    google: `canary-google-${newId()}`,
  };
  const as = <T extends { set(headers: object): T }>(request: T): T =>
    request.set({ 'x-forwarded-for': ADDRESS, 'user-agent': DEVICE });
  const { email, wanted, title, description } = canaries;
  const password = 'correct horse battery';
  const registered = await as(app.http.post('/api/v1/auth/register'))
    .send({ email, password, name: canaries.studio })
    .expect(201);
  const { accessToken: token, refreshToken, user } = registered.body;
  const account: Account = { email, password, token, refreshToken, userId: user.id };
  const { firstName, lastName } = canaries;
  await as(app.as(account).patch('/api/v1/me')).send({ firstName, lastName }).expect(200);
  await as(login(account)).send({ email, password: 'a wrong one' }).expect(401);
  await as(app.as(account).post('/api/v1/me/email')).send({ email: wanted, password }).expect(202);
  await as(app.http.post('/api/v1/auth/forgot-password')).send({ email }).expect(202);
  await app.database.query('update users set google_id = $2 where id = $1', [
    account.userId,
    canaries.google,
  ]);

  const made = await as(
    app.as(account).post('/api/v1/images/upload').set('idempotency-key', canaries.key),
  )
    .set('prefer', 'wait=30')
    .field({ title, description })
    .attach('image', picture, 'picture.jpg')
    .expect(201);
  await app.database.query('update images set prompt = $2 where id = $1', [
    made.body.id,
    canaries.prompt,
  ]);
  await coinsOf(app).credit({
    ...{ userId: account.userId, amount: 7, kind: 'PURCHASE', reference: newId() },
  });
  const letter = await giveUp(app, account, await makePicture());
  const { body: deleted } = await uploadPicture(app, account, await makePicture());
  await app.as(account).delete(`/api/v1/images/${deleted.id}`).expect(204);
  const announced = await as(app.as(account).post('/api/v1/images/uploads'))
    .set({
      'tus-resumable': '1.0.0',
      'upload-length': '1000',
      'upload-metadata': `title ${Buffer.from(canaries.announced).toString('base64')}`,
    })
    .expect(201);
  await app
    .as(account)
    .patch(announced.headers['location'] ?? '')
    .set({ 'tus-resumable': '1.0.0', 'upload-offset': '0' })
    .set('content-type', 'application/offset+octet-stream')
    .send(picture.subarray(0, 500))
    .expect(204);
  for (const [recipient, template] of [
    [email, 'verify-email'],
    [wanted, 'change-email'],
    [email, 'reset-password'],
  ] as const) {
    await finishedMails(app, recipient, template);
  }
  return { account, canaries, letter, images: { made: made.body.id, deleted: deleted.id } };
}

describe('an account that is erased', () => {
  afterAll(() => app.startWorker());

  it('leaves nothing of its owner in any table, in the queue or in storage', async () => {
    const { account, canaries, letter, images } = await leaveTracks();
    const bystander = await app.register('studio');
    await uploadPicture(app, bystander, await makePicture());
    await sweep();
    const others = (await filesOfUsers(app)).filter((path) => path.includes(bystander.userId));

    // A carrier waits while nobody works.
    await app.worker?.stop();
    const { body: waiting } = await app
      .as(account)
      .post('/api/v1/images/upload?force=true')
      .attach('image', await makePicture(), 'picture.jpg')
      .expect(202);

    // What is looked for is there, and each text in the tables where it should be: so it can be found.
    const before = Object.fromEntries(
      await Promise.all(
        Object.entries(canaries).map(
          async ([name, text]) => [name, await tablesWith(app, text)] as const,
        ),
      ),
    );
    expect(before).toEqual({
      email: ['account_tokens', 'outgoing_mail', 'users'],
      wanted: ['account_tokens', 'audit_details', 'outgoing_mail'],
      firstName: ['users'],
      lastName: ['users'],
      studio: ['studios'],
      address: ['audit_details', 'sessions'],
      device: ['sessions'],
      title: ['idempotency_keys', 'images'],
      description: ['idempotency_keys', 'images'],
      prompt: ['images'],
      announced: ['resumable_uploads'],
      key: ['idempotency_keys'],
      google: ['users'],
    });
    expect(await tablesWith(app, waiting.id)).toEqual(
      expect.arrayContaining(['bullmq.job', 'images']),
    );
    expect(await tablesWith(app, letter.row_id)).toContain('failed_jobs');
    expect(await tablesWith(app, images.deleted)).toContain('deleted_images');

    const { body: exported } = await app.as(account).get('/api/v1/me/export').expect(200);
    for (const text of Object.values(canaries)) {
      expect(JSON.stringify(exported)).toContain(text);
    }
    expect(exported.images).toHaveLength(3);
    expect(exported.deletedImages).toMatchObject([{ id: images.deleted }]);
    expect(exported.coinTransfers).toMatchObject([{ kind: 'PURCHASE', change: 7 }]);

    await erase(account).set('x-forwarded-for', ADDRESS).set('user-agent', DEVICE).expect(204);
    for (const [name, text] of Object.entries(canaries)) {
      expect([name, await tablesWith(app, text)]).toEqual([name, []]);
    }
    for (const id of [images.made, images.deleted, letter.row_id, waiting.id]) {
      const tables = await tablesWith(app, id);
      // Until its files are gone; and BullMQ writes down which of its jobs came and went.
      const expected = ['file_removals', 'bullmq.event'];
      expect(tables.filter((name) => !expected.includes(name))).toEqual([]);
    }
    await sweep();
    const left = (await filesOfUsers(app)).filter((path) => !path.includes(bystander.userId));
    expect(left).toEqual([]);
    // Attempts that failed have written down for later what they might have stored.
    await hurryRemovals(account);
    await sweep();
    expect(await tablesWith(app, account.userId)).toEqual([
      'audit_entries',
      'coin_accounts',
      'users',
    ]);
    expect(await storedBalance(app, account.userId)).toMatchObject({ posted: 7 });
    expect(await userOf(account)).toMatchObject({
      email: `erased:${account.userId}`,
      password_hash: null,
      roles: ['USER'],
      language: 'en',
      disabled_at: expect.any(Date),
      erased_at: expect.any(Date),
    });

    // Nobody else has lost anything.
    expect((await filesOfUsers(app)).sort()).toEqual(others.sort());
    await app.as(bystander).get('/api/v1/me').expect(200);
  });
});

describe('an erased account', () => {
  it('lets nobody in, and its address is free', async () => {
    const account = await app.register('studio');
    await erase(account).expect(204);
    await app.as(account).get('/api/v1/me').expect(401);
    await refresh(account).expect(401);
    await login(account).expect(401);
    await login({ ...account, email: `erased:${account.userId}` }).expect(422);
    const { email, password } = account;
    const again = await app.http
      .post('/api/v1/auth/register')
      .send({ email, password, name: 'Someone else' })
      .expect(201);
    expect(again.body.user.id).not.toBe(account.userId);
    await erase(account).expect(401);
    await login(account).expect(200);
  });

  it('cannot be brought back: the database takes no such row', async () => {
    const account = await app.register();
    await erase(account).expect(204);
    const { userId } = account;
    for (const change of [
      'disabled_at = null',
      `email = 'somebody@example.com'`,
      `password_hash = 'x'`,
      `google_id = 'x'`,
      `first_name = 'x'`,
    ]) {
      await expect(
        app.database.query(`update users set ${change} where id = $1`, [userId]),
      ).rejects.toThrow('users_erased_is_nobody');
    }
  });

  it('is remembered by the audit, without where that was asked from', async () => {
    const account = await app.register();
    await erase(account).expect(204);
    const entries = await app.database.query(
      `select action, address, before, after from audit_entries
       left join audit_details on entry_id = id where target_id = $1`,
      [account.userId],
    );
    expect(entries).toContainEqual({
      action: 'account.erased',
      ...{ address: null, before: null, after: null },
    });
  });

  it('keeps of an administrator of before what they did, without where from', async () => {
    const [admin, other] = await Promise.all([app.register(), app.register()]);
    const [entry] = await app.database.query<{ id: string }>(
      `insert into audit_entries (id, actor_kind, actor_id, action, target_type, target_id, created_at)
       values (gen_random_uuid(), 'user', $1, 'user.role-added', 'user', $2, now()) returning id`,
      [admin.userId, other.userId],
    );
    await app.database.query(
      `insert into audit_details (entry_id, address, after) values ($1, $2, '{"roles":["ADMIN"]}')`,
      [entry?.id, ADDRESS],
    );
    await erase(admin).expect(204);
    const details = await app.database.query('select * from audit_details where entry_id = $1', [
      entry?.id,
    ]);
    expect(details).toMatchObject([{ address: null, after: { roles: ['ADMIN'] } }]);
  });

  it('may be erased again without harm, for what was written meanwhile', async () => {
    const account = await app.register();
    await erase(account).expect(204);
    const [entry] = await app.database.query<{ id: string }>(
      `insert into audit_entries (id, actor_kind, action, target_type, target_id, created_at)
       values (gen_random_uuid(), 'anonymous', 'sign-in.failed', 'user', $1, now()) returning id`,
      [account.userId],
    );
    await app.database.query('insert into audit_details (entry_id, address) values ($1, $2)', [
      entry?.id,
      '203.0.113.78',
    ]);
    const tombstone = await userOf(account);
    expect(await erasure().repeat()).toBeGreaterThan(0);
    expect(await tablesWith(app, '203.0.113.78')).toEqual([]);
    await erasure().repeat();
    expect(await userOf(account)).toEqual(tombstone);
  });

  it('may have had five thousand images', async () => {
    const account = await app.register();
    await app.database.query(
      `insert into images (id, user_id, type, status, storage_key, stored_bytes, metadata, checksum,
         version, created_at, updated_at)
       select id, $1::uuid, 'UPLOADED', 'COMPLETED', 'images/' || $1::uuid || '/1-' || id || '/original-1.jpg', 1,
         '{}', repeat('0', 64), 1, now(), now()
       from (select gen_random_uuid() as id from generate_series(1, 5000)) as ids`,
      [account.userId],
    );
    await erase(account).expect(204);
    expect(await count('images', account)).toBe(0);
    const [removals] = await app.database.query<{ count: number }>(
      `select count(distinct target)::int as count from file_removals where target like $1`,
      [`images/${account.userId}/1-%/`],
    );
    // Some may have been removed by the worker already.
    expect(removals?.count).toBeGreaterThan(4_000);
    await app.database.query(`delete from file_removals where target like $1`, [
      `images/${account.userId}/%`,
    ]);
  });
});

describe('to erase an account', () => {
  it('takes its password', async () => {
    const account = await app.register();
    const wrong = await erase(account, 'not this one').expect(403);
    expect(wrong.body).toMatchObject({ code: 'wrong-password' });
    await app.as(account).delete('/api/v1/me').expect(403);
    await app.as(account).delete('/api/v1/me').send({ password: 7 }).expect(422);
    await app.as(account).delete('/api/v1/me').send({ userId: newId() }).expect(422);
    await app.http.delete('/api/v1/me').expect(401);
    await app.as(account).get('/api/v1/me').expect(200);
  });

  it('takes a new sign-in where there is no password', async () => {
    const account = await app.register();
    const age = (minutes: number) =>
      app.database.query(
        `update sessions set created_at = now() - make_interval(mins => $2) where user_id = $1`,
        [account.userId, minutes],
      );
    await app.database.query('update users set password_hash = null where id = $1', [
      account.userId,
    ]);
    await age(16);
    const { body } = await app.as(account).delete('/api/v1/me').expect(403);
    expect(body.code).toBe('sign-in-again');
    await age(14);
    await app.as(account).delete('/api/v1/me').expect(204);
  });

  it('takes that it is no administrator’s', async () => {
    const account = await app.register();
    const setRoles = (roles: string) =>
      app.database.query('update users set roles = $2 where id = $1', [account.userId, roles]);
    await setRoles('{USER,ADMIN}');
    const { body } = await erase(account).expect(409);
    expect(body.code).toBe('administrator-account');
    await app.as(account).get('/api/v1/me').expect(200);
    await setRoles('{USER}');
    await erase(account).expect(204);
  });

  it('takes another owner for a studio in which others work', async () => {
    const [owner, colleague] = await Promise.all([app.register('studio'), app.register()]);
    const studio = await studioOf(owner);
    await join(studio, colleague, 'STAFF');
    await upload(owner).expect(202);
    const { body } = await erase(owner).expect(409);
    expect(body).toMatchObject({ code: 'sole-owner', detail: expect.stringContaining('Someone') });
    // Nothing was erased.
    expect(await count('images', owner)).toBe(1);
    await refresh(owner).expect(200);
    await app.database.query(`update studio_members set role = 'OWNER' where user_id = $1`, [
      colleague.userId,
    ]);
    await erase(owner).expect(204);
    const shown = await app.as(colleague).get('/api/v1/me').expect(200);
    expect(shown.body.studios).toMatchObject([{ id: studio, role: 'OWNER' }]);
    // With the last of them it goes, too.
    await erase(colleague).expect(204);
    expect(await app.database.query('select 1 from studios where id = $1', [studio])).toEqual([]);
  });

  it('leaves the owner to a studio when both of two go at the same time', async () => {
    for (let round = 0; round < 5; round += 1) {
      const [owner, other, staff] = await Promise.all([
        app.register('studio'),
        app.register(),
        app.register(),
      ]);
      const studio = await studioOf(owner);
      await join(studio, other, 'OWNER');
      await join(studio, staff, 'STAFF');
      const answers = await Promise.all([erase(owner), erase(other)]);
      expect(answers.map(({ status }) => status).sort()).toEqual([204, 409]);
      const owners = await app.database.query(
        `select 1 from studio_members where studio_id = $1 and role = 'OWNER'`,
        [studio],
      );
      expect(owners).toHaveLength(1);
    }
  });

  it('happens once when many ask at the same time', async () => {
    const account = await app.register('studio');
    await upload(account).expect(202);
    const answers = await Promise.all(Array.from({ length: 8 }, () => erase(account)));
    expect(answers.filter(({ status }) => status === 204)).toHaveLength(1);
    for (const { status } of answers) expect([204, 401, 403]).toContain(status);
  });
});

describe('what comes at the same time as an erasure', () => {
  /** @returns when so many wait for locks on rows */
  async function waitingForLocks(waiting: number): Promise<void> {
    await eventually(
      () =>
        app.database.query(
          `select 1 from pg_stat_activity
           where datname = current_database() and wait_event_type = 'Lock'`,
        ),
      (rows) => rows.length >= waiting,
    );
  }

  /** Nothing that the account itself holds back is there, at once; the rest once it is repeated. */
  async function expectNothingLeft(account: Account): Promise<void> {
    for (const table of ['images', 'resumable_uploads', 'sessions', 'account_tokens']) {
      expect([table, await count(table, account)]).toEqual([table, 0]);
    }
    await login(account).expect(401);
    await refresh(account).expect(401);
    await settleMail(app);
    await erasure().repeat();
    expect(await tablesWith(app, account.email)).toEqual([]);
    await sweep();
    const tables = await tablesWith(app, account.userId);
    expect(tables.filter((name) => name !== 'file_removals')).toEqual(['audit_entries', 'users']);
    const files = await filesOfUsers(app);
    expect(files.filter((path) => path.includes(account.userId))).toEqual([]);
  }

  it.each([
    ['an upload', (account: Account) => upload(account), 401],
    ['a sign-in', login, 401],
    [
      'the announcement of an upload',
      (account: Account) =>
        app
          .as(account)
          .post('/api/v1/images/uploads')
          .set({ 'tus-resumable': '1.0.0', 'upload-length': '1000' }),
      401,
    ],
    [
      'a change of the address',
      (account: Account) =>
        app
          .as(account)
          .post('/api/v1/me/email')
          .send({ email: `${newId()}@example.com`, password: account.password }),
      401,
    ],
    [
      'another mail to verify the address',
      (account: Account) => app.as(account).post('/api/v1/auth/verify-email/resend'),
      401,
    ],
    [
      'a change of the password',
      (account: Account) =>
        app
          .as(account)
          .put('/api/v1/me/password')
          .send({ currentPassword: account.password, newPassword: 'a better password' }),
      401,
    ],
    [
      'a change of the name',
      (account: Account) => app.as(account).patch('/api/v1/me').send({ firstName: 'Late' }),
      401,
    ],
  ])('%s that waited for it finds the account gone', async (_, act, status) => {
    const account = await app.register();
    const answers: Promise<{ status: number }>[] = [];
    await holdingAccount(app, account, async () => {
      // The order in which they wait is that in which they go on.
      answers.push(erase(account).then());
      await waitingForLocks(1);
      answers.push(act(account).then());
      await waitingForLocks(2);
    });
    const [erased, other] = await Promise.all(answers);
    expect([erased?.status, other?.status]).toEqual([204, status]);
    await expectNothingLeft(account);
  });

  it('is all answered, and leaves nothing, in whatever order it comes', async () => {
    const accounts = await Promise.all(Array.from({ length: 6 }, () => app.register('studio')));
    await Promise.all(
      accounts.map(async (account, index) => {
        const existing = await upload(account).expect(202);
        const requests = [
          login(account),
          refresh(account),
          app
            .as(account)
            .post('/api/v1/images/upload?force=true')
            .attach('image', picture, 'a.jpg'),
          app.as(account).delete(`/api/v1/images/${existing.body.id}`),
          app.as(account).post('/api/v1/auth/verify-email/resend'),
          app.as(account).post('/api/v1/auth/logout'),
          app.as(account).get('/api/v1/me/export'),
          app.http.post('/api/v1/auth/forgot-password').send({ email: account.email }),
        ].map((request) => request.then(({ status }) => status));
        const pause = new Promise((resolve) => setTimeout(resolve, index * 8));
        const erased = pause.then(() => erase(account)).then(({ status }) => status);
        const statuses = await Promise.all([...requests, erased]);
        for (const each of statuses) expect(each).toBeLessThan(500);
        // Signed out before it was asked: then it is asked once more.
        if (statuses.at(-1) !== 204) {
          const again = await login(account).expect(200);
          await erase({ ...account, token: again.body.accessToken }).expect(204);
        }
      }),
    );
    for (const account of accounts) await expectNothingLeft(account);
  });

  it('is a conversion that finds nothing to complete, and whose files go', async () => {
    const account = await app.register();
    const large = await makePicture({ width: 3000, height: 2000 });
    const id = await duringConversion(
      app,
      {
        worker: app.worker!,
        accept: async () => {
          const request = app.as(account).post('/api/v1/images/upload?force=true');
          return (await request.attach('image', large, 'large.jpg').expect(202)).body.id;
        },
      },
      () => erase(account).expect(204),
    );
    await eventually(
      () => tablesWith(app, id),
      (tables) => !tables.includes('bullmq.job'),
    );
    expect(await app.database.query('select 1 from images where id = $1', [id])).toEqual([]);
    // What it stores is written down for removal when it was to be over.
    await hurryRemovals(account);
    await expectNothingLeft(account);
  });

  it('is a delivery of mail that leaves no row', async () => {
    const client = new pg.Client({ connectionString: app.database.ownerUrl });
    await client.connect();
    const account = await app.register();
    await finishedMails(app, account.email, 'verify-email');
    await client.query('begin');
    // The worker is about to look for the account.
    await client.query('select 1 from users where id = $1 for update', [account.userId]);
    await app.http.post('/api/v1/auth/forgot-password').send({ email: account.email }).expect(202);
    await waitingForLocks(1);
    const erased = erase(account).then(({ status }) => status);
    await waitingForLocks(2);
    await client.end();
    expect(await erased).toBe(204);
    await expectNothingLeft(account);
  });
});
