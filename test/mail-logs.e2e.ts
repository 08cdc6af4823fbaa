import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { MailServer } from './mail-server.js';
import { ProductProcess } from './product-process.js';
import { finishedMails, mailRows, tokenIn } from './recovery-mail.js';
import { eventually } from './eventually.js';
import { TestingApp } from './testing-app.js';

const CREDENTIALS = { name: 'canary-smtp-user', password: 'canary-smtp-password' };
const EMAIL = 'reader@example.com';
const OTHER = 'other-reader@example.com';

let app: TestingApp;
let server: MailServer;
let api: ProductProcess;
let worker: ProductProcess;
let url: string;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  server = await MailServer.start();
  const variables = { ...app.variables, ...server.variables, LOG_LEVEL: 'trace' };
  ({ api, url } = await ProductProcess.startApi(variables));
  worker = await ProductProcess.start('worker', variables);
});

afterAll(async () => {
  await Promise.all([api.kill(), worker.kill()]);
  await app.close();
  await server.close();
});

const send = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${url}/api/v1/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

async function newestTo(address: string, count: number): Promise<string> {
  const mails = await server.mailsTo(address, count);
  return tokenIn(mails.at(-1)?.text ?? '');
}

it('no password and no token of a mail is in a line of the log or in an error', async () => {
  const password = 'canary-password';
  const registered = await send('auth/register', { email: EMAIL, password, name: 'x' });
  const { accessToken } = (await registered.json()) as { accessToken: string };
  const authorization = `Bearer ${accessToken}`;
  const tokens = [await newestTo(EMAIL, 1)];

  await send('auth/forgot-password', { email: EMAIL });
  tokens.push(await newestTo(EMAIL, 2));
  await send('me/email', { email: OTHER, password }, { authorization });
  tokens.push(await newestTo(OTHER, 1));

  // A server that says what it does not like: the link.
  server.refusal = { at: 'DATA', status: 554, text: '5.7.1 canary LINK' };
  await send('auth/verify-email/resend', {}, { authorization });
  await eventually(
    () => mailRows(app, EMAIL),
    (rows) => rows.some((row) => row.status === 'SENDING' && row['lease_id'] === null),
  );
  await app.database.query(
    `update outgoing_mail set attempts = 13, next_attempt_at = now() where status = 'SENDING'`,
  );
  await finishedMails(app, EMAIL, 'verify-email', 2);

  const answers = [
    await send('auth/reset-password', { token: tokens[0], password: 'canary-other' }),
    await send('auth/reset-password', { token: tokens[1], password: 'x' }),
    await send('auth/reset-password', { token: tokens[1], password, canary: 'canary-field' }),
    await send('auth/reset-password', `{"token":"${tokens[1]}"`),
    await send('auth/confirm-email', { token: tokens[0] }, { authorization }),
    await send('me/email', { email: OTHER, password: 'canary-wrong' }, { authorization }),
    await send('auth/verify-email', { token: 'canary-token' }, { authorization }),
    await fetch(`${url}/api/v1/auth/verify-email?token=${tokens[0]}`, { method: 'POST' }),
  ];
  for (const { status } of answers) expect(status).toBeGreaterThanOrEqual(400);
  const used = [
    await send('auth/verify-email', { token: tokens[0] }, { authorization }),
    await send('auth/reset-password', { token: tokens[1], password: 'canary-new-password' }),
  ];
  expect(used.map(({ status }) => status)).toEqual([204, 204]);

  const bodies = await Promise.all(answers.map((answer) => answer.text()));
  const deadLetters = await app.database.query('select * from failed_jobs');
  expect(deadLetters).toHaveLength(1);
  const audit = await app.database.query('select * from audit_entries, audit_details');
  await api.tells('/api/v1/auth/reset-password');
  await worker.tells('dead_letter');
  const seen = [
    api.output,
    worker.output,
    ...bodies,
    JSON.stringify(deadLetters),
    JSON.stringify(audit),
  ].join('\n');
  for (const secret of ['canary-', ...tokens, accessToken, 'tests sign their']) {
    expect(seen).not.toContain(secret);
  }
});

it('nor is what the product signs in with at a mail server', async () => {
  const closed = await MailServer.start({ user: CREDENTIALS });
  const variables = { ...app.variables, ...closed.variables, LOG_LEVEL: 'trace' };
  await worker.stop();
  const other = await ProductProcess.start('worker', variables);
  await send('auth/forgot-password', { email: EMAIL });
  await other.tells('MailNotSent');
  await other.stop();
  expect(other.output).not.toContain('canary');
  await closed.close();
});
