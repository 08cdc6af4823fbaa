import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { ScureBase32Plugin } from 'otplib';
import { registerAdmin } from './administrators.js';
import { challengeOf, codeOf, enrol, wrongCodeOf } from './authenticators.js';
import { finishedMails } from './recovery-mail.js';
import { ProductProcess } from './product-process.js';
import { TestingApp } from './testing-app.js';

let app: TestingApp;

beforeAll(async () => {
  app = await TestingApp.start();
});

afterAll(() => app.close());

/** All that the database holds of what people have to do with two factors. */
async function everythingStored(): Promise<string> {
  const tables = ['totp_secrets', 'recovery_codes', 'audit_details', 'outgoing_mail', 'counters'];
  const rows = await Promise.all(tables.map((name) => app.database.query(`select * from ${name}`)));
  expect(rows[0]).not.toEqual([]);
  expect(rows[1]).not.toEqual([]);
  return JSON.stringify(rows);
}

it('the database holds no secret and no recovery code', async () => {
  const account = await enrol(app);
  await challengeOf(app, account);
  const stored = await everythingStored();
  const bytes = Buffer.from(new ScureBase32Plugin().decode(account.secret));
  const secrets = [account.secret, bytes.toString('hex'), bytes.toString('base64')];
  const codes = account.recoveryCodes.flatMap((code) => [code, code.replaceAll('-', '')]);
  for (const secret of [...secrets, ...codes]) {
    expect(stored.toLowerCase()).not.toContain(secret.toLowerCase());
  }
});

it('no code, secret or challenge is in a line of the log, in the audit, or in a refusal', async () => {
  const { api, url } = await ProductProcess.startApi({ ...app.variables, LOG_LEVEL: 'trace' });
  const account = await enrol(app);
  const challenge = await challengeOf(app, account);
  const [recoveryCode = ''] = account.recoveryCodes;
  const send = (method: string, path: string, body: unknown) =>
    fetch(`${url}/api/v1/${path}`, {
      method,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${account.token}` },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const code = codeOf(account.secret);
  const wrong = wrongCodeOf(account.secret);
  const { email, password } = account;
  const answers = [
    await send('POST', 'auth/totp', { challenge, code: wrong }),
    await send('POST', 'auth/totp', { challenge: `${challenge}A`, code }),
    await send('POST', 'auth/totp', { challenge, code, more: 1 }),
    await send('POST', 'auth/totp', `{"challenge":"${challenge}","code":"${recoveryCode}"`),
    await send('POST', 'me/totp/recovery-codes', { password, code: wrong }),
    await send('DELETE', 'me/totp', { password: 'wrong', code: recoveryCode }),
    await send('POST', `auth/totp?challenge=${challenge}&code=${recoveryCode}`, {}),
  ];
  for (const { status } of answers) expect(status).toBeGreaterThanOrEqual(400);
  const refusals = await Promise.all(answers.map((answer) => answer.text()));
  const asked = await send('POST', 'auth/login', { email, password });
  expect(asked.status).toBe(401);
  expect((await send('POST', 'auth/totp', { challenge, code })).status).toBe(200);
  expect((await send('POST', 'auth/totp', { challenge, code: recoveryCode })).status).toBe(200);
  expect(
    (await send('DELETE', 'me/totp', { password, code: account.recoveryCodes[1] })).status,
  ).toBe(204);
  await finishedMails(app, email, 'totp-switched-off');
  await api.tells('"DELETE"');
  await api.stop();

  const audit = await app.database.query('select * from audit_entries, audit_details');
  const mails = await app.database.query('select * from outgoing_mail');
  const seen = [api.output, ...refusals, JSON.stringify(audit), JSON.stringify(mails)].join('\n');
  const { challenge: second } = (await asked.json()) as { challenge: string };
  const codes = account.recoveryCodes.flatMap((each) => [each, each.replaceAll('-', '')]);
  for (const secret of [account.secret, challenge, second, ...codes]) {
    expect(seen).not.toContain(secret);
  }
  for (const digits of [code, wrong]) expect(seen).not.toMatch(new RegExp(`\\b${digits}\\b`));
});

it('with another APP_SECRET codes cannot be checked, and recovery codes or an administrator help', async () => {
  const [account, other] = [await enrol(app), await enrol(app)];
  const admin = await registerAdmin(app);
  const { api, url } = await ProductProcess.startApi({
    ...app.variables,
    APP_SECRET: 'what tests sign their links with was changed to this',
  });
  const send = async (method: string, path: string, body?: object, token?: string) => {
    const answer = await fetch(`${url}/api/v1/${path}`, {
      method,
      headers: {
        ...(body && { 'content-type': 'application/json' }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return {
      status: answer.status,
      body: (text ? JSON.parse(text) : {}) as Record<string, string>,
    };
  };
  const signIn = ({ email, password }: typeof account) =>
    send('POST', 'auth/login', { email, password });
  const { challenge } = (await signIn(account)).body;

  const unreadable = { status: 409, body: { code: 'totp-unreadable' } };
  const code = codeOf(account.secret);
  expect(await send('POST', 'auth/totp', { challenge, code })).toMatchObject(unreadable);
  await api.tells('A TOTP secret is of another APP_SECRET');
  const [first, second] = account.recoveryCodes;
  const signedIn = await send('POST', 'auth/totp', { challenge, code: first });
  expect(signedIn.status).toBe(200);
  const token = signedIn.body['accessToken'];
  const { password } = account;
  expect(await send('DELETE', 'me/totp', { password, code }, token)).toMatchObject(unreadable);
  expect((await send('DELETE', 'me/totp', { password, code: second }, token)).status).toBe(204);
  const { secret = '' } = (await send('POST', 'me/totp', { password }, token)).body;
  const confirmation = { code: codeOf(secret) };
  expect((await send('POST', 'me/totp/confirmation', confirmation, token)).status).toBe(200);

  expect((await signIn(other)).body).toMatchObject({ code: 'totp-required' });
  const path = `admin/users/${other.userId}/totp`;
  expect((await send('DELETE', path, undefined, admin.token)).status).toBe(204);
  expect((await signIn(other)).status).toBe(200);
  await api.stop();
});
