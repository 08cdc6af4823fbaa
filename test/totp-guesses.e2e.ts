import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import {
  challengeOf,
  codeOf,
  enrol,
  type Enrolled,
  requestTotp,
  wrongCodeOf,
} from './authenticators.js';
import { byStatus, endMinute } from './guesses.js';
import { finishedMails, mailRows, settleMail } from './recovery-mail.js';
import { TestingApp } from './testing-app.js';

const NO_CODE = 'abcde-fghij-klmno-pqrst';

let app: TestingApp;
let account: Enrolled;
let challenge: string;

beforeAll(async () => {
  app = await TestingApp.start({ variables: { RATE_LIMITS: 'on' } });
});

afterAll(() => app.close());

beforeEach(async () => {
  account = await enrol(app);
  challenge = await challengeOf(app, account);
  await endMinute(app);
});

const enter = (code: string) => app.http.post('/api/v1/auth/totp').send({ challenge, code });

const wrongTimes = async (times: number) => {
  for (let time = 0; time < times; time++) {
    if (time % 10 === 0) await endMinute(app);
    await enter(wrongCodeOf(account.secret)).expect(401);
  }
};

const aWhileAgo = (seconds: number) =>
  app.database.query(
    'update totp_secrets set last_tried_at = now() - make_interval(secs => $2) where user_id = $1',
    [account.userId, seconds],
  );

const auditOf = (action: string) =>
  app.database.query('select 1 from audit_entries where target_id = $1 and action = $2', [
    account.userId,
    action,
  ]);

it('ten wrong codes are looked at in a minute, and then the right one is not either', async () => {
  for (let time = 0; time < 5; time++) {
    await enter(wrongCodeOf(account.secret)).expect(401);
    await enter(NO_CODE).expect(401);
  }
  for (const code of [codeOf(account.secret), account.recoveryCodes[0]!]) {
    const { body, headers } = await enter(code).expect(429);
    expect(body.code).toBe('too-many-requests');
    expect(Number(headers['retry-after'])).toBeLessThanOrEqual(60);
  }
  await endMinute(app);
  await enter(codeOf(account.secret)).expect(200);
  expect(await auditOf('totp.code-refused')).toHaveLength(10);
});

it('who does not know the password uses no tries up', async () => {
  const { email } = account;
  const signIn = () =>
    app.http.post('/api/v1/auth/login').send({ email, password: 'wrong password' });
  for (let time = 0; time < 10; time++) await signIn().expect(401);
  await signIn().expect(429);
  await enter(codeOf(account.secret)).expect(200);
});

it('fifty guesses at once, one of them right, are looked at no more often', async () => {
  const wrong = wrongCodeOf(account.secret);
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) => enter(index === 49 ? codeOf(account.secret) : wrong)),
  );
  const counts = byStatus(answers);
  expect(counts[401] ?? 0).toBeLessThanOrEqual(10);
  const [row] = await app.database.query<{ tries: number }>(
    'select tries from totp_secrets where user_id = $1',
    [account.userId],
  );
  expect(row?.tries).toBeLessThanOrEqual(20);
});

it('after twenty wrong ones in a row one is looked at in an hour; recovery codes are taken', async () => {
  await wrongTimes(20);
  await endMinute(app);
  const { body, headers } = await enter(codeOf(account.secret)).expect(429);
  expect(body.code).toBe('too-many-codes');
  expect(Number(headers['retry-after'])).toBeGreaterThan(3_500);
  expect(Number(headers['retry-after'])).toBeLessThanOrEqual(3_600);
  await enter(account.recoveryCodes[0]!).expect(200);
  await enter(codeOf(account.secret)).expect(429);

  await aWhileAgo(3_500);
  await enter(codeOf(account.secret)).expect(429);
  await aWhileAgo(3_600);
  const guesses = await Promise.all(
    Array.from({ length: 10 }, () => enter(wrongCodeOf(account.secret))),
  );
  expect(byStatus(guesses)).toEqual({ 401: 1, 429: 9 });
  await enter(codeOf(account.secret)).expect(429);

  await aWhileAgo(3_600);
  await enter(codeOf(account.secret)).expect(200);
  await wrongTimes(19);
});

it('the owner is told of twenty wrong ones, once, also when they come at once', async () => {
  await wrongTimes(10);
  await endMinute(app);
  await Promise.all(Array.from({ length: 40 }, () => enter(wrongCodeOf(account.secret))));
  await aWhileAgo(3_600);
  await endMinute(app);
  await enter(wrongCodeOf(account.secret)).expect(401);
  expect(await auditOf('totp.locked')).toHaveLength(1);
  const [mail] = await finishedMails(app, account.email, 'codes-locked');
  expect(mail?.subject).toBe('Many wrong codes for your account');
  await settleMail(app);
  const mails = await mailRows(app, account.email);
  expect(mails.filter(({ template }) => template === 'codes-locked')).toHaveLength(1);
});

it('a right one begins the row anew', async () => {
  await wrongTimes(19);
  await endMinute(app);
  await enter(codeOf(account.secret)).expect(200);
  await wrongTimes(19);
  await endMinute(app);
  await enter(codeOf(account.secret, 1)).expect(200);
});

it('tries at a secret that waits to be confirmed are counted as well', async () => {
  const other = await app.register();
  const secret = await requestTotp(app, other);
  const confirm = (code: string) =>
    app.as(other).post('/api/v1/me/totp/confirmation').send({ code });
  for (let time = 0; time < 20; time++) {
    if (time % 10 === 0) await endMinute(app);
    await confirm(wrongCodeOf(secret)).expect(403);
  }
  await endMinute(app);
  await confirm(codeOf(secret)).expect(429);
  await confirm(codeOf(await requestTotp(app, other))).expect(200);
});
