import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import { eventually } from './eventually.js';
import { Exposition } from './exposition.js';
import { finishedMails, settleMail, tokenIn } from './recovery-mail.js';
import { type Account, TestingApp } from './testing-app.js';

let app: TestingApp;
let admin: Account;
let account: Account;

beforeAll(async () => {
  app = await TestingApp.start();
  admin = await app.register();
  await app.database.query(`update users set roles = '{USER,ADMIN}' where id = $1`, [admin.userId]);
  account = await app.register();
  await settleMail(app);
});

afterAll(() => app.close());

const list = (query = '') => app.as(admin).get(`/api/v1/admin/mail${query}`);

describe('the mail of a server without SMTP', () => {
  it('can be read by administrators, with its links', async () => {
    const { body } = await list(`?recipient=${account.email.toUpperCase()}`).expect(200);
    expect(body).toEqual({
      items: [
        {
          id: expect.any(String),
          to: account.email,
          template: 'verify-email',
          status: 'RECORDED',
          language: 'en',
          subject: 'Confirm your e-mail address',
          attempts: 1,
          error: null,
          createdAt: expect.any(String),
          updatedAt: expect.any(String),
        },
      ],
      nextCursor: null,
    });
    const [summary] = body.items;
    const shown = await app.as(admin).get(`/api/v1/admin/mail/${summary.id}`).expect(200);
    expect(shown.body).toEqual({ ...summary, text: expect.any(String) });
    const token = tokenIn(shown.body.text);
    expect(shown.body.text).toContain(`${app.url}/verify-email#token=${token}`);
    const [entry] = await app.database.query(
      `select actor_id from audit_entries where action = 'mail.read' and target_id = $1`,
      [summary.id],
    );
    expect(entry).toEqual({ actor_id: admin.userId });
    await app.as(account).post('/api/v1/auth/verify-email').send({ token }).expect(204);
  });

  it('comes in pages, the newest first', async () => {
    for (let index = 0; index < 4; index += 1) await app.register();
    await settleMail(app);
    const all = await list('?limit=100&total=true').expect(200);
    expect(all.body.total).toBe(all.body.items.length);
    const ids: string[] = [];
    let query = '?limit=2';
    for (;;) {
      const { body } = await list(query).expect(200);
      ids.push(...body.items.map(({ id }: { id: string }) => id));
      if (body.nextCursor === null) break;
      query = `?limit=2&cursor=${body.nextCursor}`;
    }
    expect(ids).toEqual(all.body.items.map(({ id }: { id: string }) => id));
    expect(ids.length).toBeGreaterThanOrEqual(6);
    const times = all.body.items.map(({ createdAt }: { createdAt: string }) => createdAt);
    expect(times).toEqual([...times].sort().reverse());
    const { body } = await list('?limit=1&offset=1').expect(200);
    expect(body.items[0].id).toBe(ids[1]);
    expect((await list('?status=SENT').expect(200)).body.items).toEqual([]);
  });

  it.each([
    '?status=LOST',
    '?limit=101',
    '?cursor=x',
    '?unknown=1',
    '?template=a&template=b',
    '?template=%00',
    '?recipient=a%00b',
  ])('is not listed by %s', async (query) => {
    await list(query).expect(422);
  });

  it('is for administrators alone', async () => {
    const [mail] = await finishedMails(app, account.email, 'verify-email');
    for (const path of ['/api/v1/admin/mail', `/api/v1/admin/mail/${mail?.id}`]) {
      await app.as(account).get(path).expect(403);
      await app.http.get(path).expect(401);
    }
    await app.as(admin).get(`/api/v1/admin/mail/${newId()}`).expect(404);
    await app.as(admin).get('/api/v1/admin/mail/x').expect(422);
  });

  it('is forgotten after thirty days, tokens and all', async () => {
    await app.database.query(
      `update outgoing_mail set created_at = created_at - interval '31 days' where recipient = $1`,
      [account.email],
    );
    await app.database.query(
      `update account_tokens set expires_at = now() - interval '31 days' where email = $1`,
      [account.email],
    );
    await app.worker?.stop();
    await app.startWorker();
    await expect(leftOf(account)).resolves.toEqual({ mails: 0, tokens: 0 });
    expect(await leftOf(admin)).toEqual({ mails: 1, tokens: 1 });
  });

  it('is told among the capabilities', async () => {
    const { body } = await app.http.get('/health/capabilities').expect(200);
    expect(body.capabilities).toContainEqual({ part: 'mail', driver: 'recorded', embedded: true });
  });
});

async function leftOf({ email }: Account) {
  const count = (table: string, column: string) =>
    app.database.query<{ count: number }>(
      `select count(*)::int as count from ${table} where ${column} = $1`,
      [email],
    );
  const look = async () => {
    const [[mails], [tokens]] = await Promise.all([
      count('outgoing_mail', 'recipient'),
      count('account_tokens', 'email'),
    ]);
    return { mails: mails?.count, tokens: tokens?.count };
  };
  return eventually(look, ({ mails, tokens }) => mails === 0 && tokens === 0, 3_000);
}

describe('in production without SMTP', () => {
  const production = { NODE_ENV: 'production', RATE_LIMITS: 'on' };

  it('mail is refused, and registering needs none', async () => {
    const live = await TestingApp.start({ worker: false, variables: production });
    try {
      const someone = await live.register();
      const refused = await Promise.all([
        live.http.post('/api/v1/auth/forgot-password').send({ email: someone.email }),
        live.as(someone).post('/api/v1/auth/verify-email/resend'),
        live
          .as(someone)
          .post('/api/v1/me/email')
          .send({ email: 'x@example.com', password: someone.password }),
      ]);
      for (const { status, body } of refused) {
        expect([status, body.code]).toEqual([503, 'mail-not-configured']);
      }
      expect(await live.database.query('select 1 from outgoing_mail')).toEqual([]);
      // Refusals that are meant: nobody is to be woken by them.
      const metrics = new Exposition((await live.http.get('/metrics').expect(200)).text);
      const refusals = { code: 'mail-not-configured' };
      expect(metrics.value('atelier_http_refusals_total', refusals)).toBe(3);
      const { body } = await live.http.get('/health/capabilities').expect(200);
      expect(body.capabilities).toContainEqual({
        part: 'mail',
        driver: 'not-configured',
        embedded: false,
      });
    } finally {
      await live.close();
    }
  });

  it('mail is recorded when ALLOW_SANDBOX says so', async () => {
    const live = await TestingApp.start({ variables: { ...production, ALLOW_SANDBOX: 'true' } });
    try {
      const someone = await live.register();
      const [mail] = await finishedMails(live, someone.email, 'verify-email');
      expect(mail?.status).toBe('RECORDED');
      // As left behind by an API that had another configuration.
      await live.worker?.stop();
      await live.as(someone).post('/api/v1/auth/verify-email/resend').expect(202);
      await live.startWorker({ ALLOW_SANDBOX: 'false' });
      const [, failed] = await finishedMails(live, someone.email, 'verify-email', 2);
      expect(failed).toMatchObject({
        status: 'FAILED',
        error_code: 'mail-not-configured',
        text: null,
      });
    } finally {
      await live.close();
    }
  });
});
