import { expect } from '@jest/globals';
import { generateSync } from 'otplib';
import type { Account, TestingApp } from './testing-app.js';

const STEP_SECONDS = 30;

/** Somebody who signs in with two factors. */
export interface Enrolled extends Account {
  /** In base32. */
  secret: string;
  recoveryCodes: string[];
}

/** What an authenticator shows now, or shows so many steps of 30 seconds later. */
export function codeOf(secret: string, steps = 0): string {
  return generateSync({ secret, epoch: Math.floor(Date.now() / 1_000) + steps * STEP_SECONDS });
}

/** Six digits that no authenticator shows now, nor soon before or after. */
export function wrongCodeOf(secret: string): string {
  const right = [-2, -1, 0, 1, 2].map((steps) => codeOf(secret, steps));
  return ['123456', '234567', '345678', '456789', '567890', '678901'].find(
    (code) => !right.includes(code),
  )!;
}

/** Asks for a secret. */
export async function requestTotp(app: TestingApp, account: Account): Promise<string> {
  const { body } = await app
    .as(account)
    .post('/api/v1/me/totp')
    .send({ password: account.password })
    .expect(200);
  return body.secret;
}

/** As by the link in the mail: notices go to proved addresses alone. */
export async function proveAddress(app: TestingApp, { userId }: Account): Promise<void> {
  await app.database.query('update users set email_verified_at = now() where id = $1', [userId]);
}

/** Registers somebody who then switches two factors on; the code for that may be used again. */
export async function enrol(app: TestingApp, given?: Account): Promise<Enrolled> {
  const account = given ?? (await app.register());
  await proveAddress(app, account);
  const secret = await requestTotp(app, account);
  const { body } = await app
    .as(account)
    .post('/api/v1/me/totp/confirmation')
    .send({ code: codeOf(secret) })
    .expect(200);
  await nextStep(app, account);
  return { ...account, secret, recoveryCodes: body.recoveryCodes };
}

/** Has the code of the present be one that was not used yet, as half a minute later. */
export async function nextStep(app: TestingApp, { userId }: Account): Promise<void> {
  await app.database.query('update totp_secrets set last_used_step = null where user_id = $1', [
    userId,
  ]);
}

/** Takes the first step of signing in. @returns the challenge for the second */
export async function challengeOf(
  app: TestingApp,
  { email, password }: Pick<Account, 'email' | 'password'>,
): Promise<string> {
  const { body } = await app.http.post('/api/v1/auth/login').send({ email, password }).expect(401);
  expect(body).toMatchObject({ code: 'totp-required', challenge: expect.any(String) });
  return body.challenge;
}
