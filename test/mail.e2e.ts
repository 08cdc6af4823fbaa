import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { getQueueToken } from '@nestjs/bullmq';
import type { Queue } from 'bullmq';
import { newId } from '../src/core/ids.js';
import { sendMail } from '../src/mail/mail.jobs.js';
import { CertificateAuthority } from './certificates.js';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';
import { MailServer } from './mail-server.js';
import { finishedMails, mailRows, settleMail, tokenIn } from './recovery-mail.js';
import { TestingApp } from './testing-app.js';

const TEMPLATE = 'verify-email';
const PASSWORD = 'test123';

let app: TestingApp;
let server: MailServer;

beforeAll(async () => {
  server = await MailServer.start();
  app = await TestingApp.start({
    variables: { ...server.variables, APP_URL: 'https://app.example.com/studio/' },
  });
});

afterEach(() => {
  server.refusal = undefined;
});

afterAll(async () => {
  await app.close();
  await server.close();
});

/** Registers an account, which is sent a mail. @returns its address */
async function register(of: TestingApp, language?: string): Promise<string> {
  const email = `${newId()}@example.com`;
  await of.http
    .post('/api/v1/auth/register')
    .send({ email, password: PASSWORD, name: 'Someone', ...(language && { language }) })
    .expect(201);
  return email;
}

const deadLettersOf = (id: string) =>
  app.database.query<{ error: string }>('select error from failed_jobs where row_id = $1', [id]);
const hurry = () =>
  app.database.query(
    `update outgoing_mail set next_attempt_at = now() where next_attempt_at is not null`,
  );

describe('a mail', () => {
  it('is sent to its recipient alone, from MAIL_FROM, and not kept', async () => {
    const email = await register(app);
    const [mail] = await server.mailsTo(email);
    expect(mail).toMatchObject({
      from: 'no-reply@atelier.example',
      to: [email],
      isEncrypted: false,
      headers: {
        from: '"Atelier, the studio" <no-reply@atelier.example>',
        to: email,
        subject: 'Confirm your e-mail address',
        'content-language': 'en',
        'auto-submitted': 'auto-generated',
      },
    });
    expect(mail?.text).toMatch(
      /^https:\/\/app\.example\.com\/studio\/verify-email#token=[\w-]{43}$/m,
    );
    const [row] = await finishedMails(app, email, TEMPLATE);
    expect(row).toMatchObject({ status: 'SENT', language: 'en', attempts: 1, text: null });
    expect(mail?.headers['message-id']).toBe(`<${row?.id}@atelier.example>`);
    expect(JSON.stringify(await app.database.query('select * from account_tokens'))).not.toContain(
      tokenIn(mail?.text ?? ''),
    );
  });

  it.each([
    ['es', 'es', 'Confirma tu dirección de correo'],
    ['es-MX', 'es', 'Confirma tu dirección de correo'],
    ['en-GB', 'en', 'Confirm your e-mail address'],
    ['pt-BR', 'en', 'Confirm your e-mail address'],
  ])('to who reads %s is written in %s', async (tag, language, subject) => {
    const email = await register(app, tag);
    const [mail] = await server.mailsTo(email);
    expect(mail?.headers).toMatchObject({ subject, 'content-language': language });
  });

  it('brings no headers but ours, whatever somebody calls themselves', async () => {
    const email = `${newId()}@example.com`;
    const name = 'Ann\r\nBcc: everyone@example.com\r\n\r\nBuy now: https://evil.example';
    await app.http
      .post('/api/v1/auth/register')
      .send({ email, password: 'test123', name, kind: 'personal' })
      .expect(201);
    const [mail] = await server.mailsTo(email);
    expect(mail?.to).toEqual([email]);
    expect(mail?.headers).not.toHaveProperty('bcc');
    expect(JSON.stringify(mail)).not.toMatch(/Ann|evil|everyone/);
  });

  it.each([
    'a@example.com\r\nBcc: b@example.com',
    'a@example.com, b@example.com',
    '"a\r\nb"@example.com',
    '<a@example.com>',
    'a@example.com>\r\nRCPT TO:<b@example.com',
  ])('goes to no address like %j', async (email) => {
    await app.http.post('/api/v1/auth/forgot-password').send({ email }).expect(422);
  });

  it('that comes twice from the queue is sent once', async () => {
    const email = await register(app);
    await server.mailsTo(email);
    const [row] = await finishedMails(app, email, TEMPLATE);
    const queue = app.app.get<Queue>(getQueueToken(sendMail.name), { strict: false });
    const carrier = { payload: sendMail.payloadOf(row!.id), requestId: null };
    const carriers = ['a', 'b'].map((letter) => ({
      name: sendMail.name,
      data: carrier,
      opts: { jobId: `again-${letter}`, removeOnComplete: true },
    }));
    await queue.addBulk(carriers);
    await eventually(
      () => Promise.all(['again-a', 'again-b'].map((id) => queue.getJob(id))),
      (jobs) => jobs.every((job) => !job),
    );
    expect(await server.mailsTo(email)).toHaveLength(1);
    expect(await mailRows(app, email)).toEqual([row]);
  });

  it('is sent again when the server says not now', async () => {
    server.refusal = { at: 'RCPT', status: 451, text: '4.7.1 Greylisted', times: 1 };
    const email = await register(app);
    const [mail] = await server.mailsTo(email);
    expect(mail?.to).toEqual([email]);
    const [row] = await finishedMails(app, email, TEMPLATE);
    expect(row).toMatchObject({ status: 'SENT', attempts: 2 });
  });

  it.each([
    ['RCPT', '5.1.1 No such user'],
    ['RCPT', 'No such user'],
    ['RCPT', '5.2.2 Mailbox full'],
    ['DATA', '5.2.1 Mailbox disabled'],
  ] as const)('to whom the server knows nobody FAILED at once: %s %s', async (at, text) => {
    server.refusal = { at, status: 550, text };
    const email = await register(app);
    const [row] = await finishedMails(app, email, TEMPLATE);
    expect(row).toMatchObject({
      status: 'FAILED',
      error_code: 'recipient-refused',
      attempts: 1,
      text: null,
    });
    expect(await deadLettersOf(row!.id)).toEqual([]);
  });

  it.each([
    ['RCPT', '5.7.1 Relay access denied'],
    ['DATA', '5.7.1 Blocked for LINK'],
    ['DATA', 'Blocked for LINK'],
  ] as const)(
    'that the server refuses for our sake is tried again, then a dead letter: %s %s',
    async (at, text) => {
      server.refusal = { at, status: 554, text };
      const email = await register(app);
      await eventually(
        () => mailRows(app, email),
        ([row]) => row?.attempts === 1 && row['lease_id'] === null,
      );
      await app.database.query('update outgoing_mail set attempts = 13 where recipient = $1', [
        email,
      ]);
      await hurry();
      const [row] = await finishedMails(app, email, TEMPLATE);
      expect(row).toMatchObject({ status: 'FAILED', error_code: 'internal-error', attempts: 14 });
      const [letter] = await deadLettersOf(row!.id);
      expect(letter?.error).toMatch(/^MailNotSent: The mail server says 554( 5\.7\.1)? to /);
      // What the server says may hold the link, and names the recipient.
      expect(letter?.error).not.toMatch(/https|token|example/);
    },
  );

  it('waits while the mail server is away, and holds nobody up', async () => {
    const port = await freePort();
    const away = { ...app.variables, SMTP_URL: `smtp://localhost:${port}` };
    await app.worker?.stop();
    await app.startWorker(away);
    const email = await register(app);
    await eventually(
      () => mailRows(app, email),
      ([row]) => row?.attempts === 1 && row['lease_id'] === null,
    );
    expect((await mailRows(app, email))[0]).toMatchObject({ status: 'SENDING' });
    const back = await MailServer.start({ port });
    await hurry();
    expect(await back.mailsTo(email)).toHaveLength(1);
    const [row] = await finishedMails(app, email, TEMPLATE);
    expect(row?.status).toBe('SENT');
    await back.close();
    await app.worker?.stop();
    await app.startWorker();
  });

  it('whose worker is killed before it has written that it was sent, comes again as the same', async () => {
    server.isSilent = true;
    const email = await register(app);
    const [first] = await server.mailsTo(email);
    await app.worker?.kill();
    server.isSilent = false;
    await app.startWorker();
    // As when the lease of the dead worker has run out.
    await app.database.query(`update outgoing_mail set leased_until = now(), queued_at = null
      where recipient = '${email}'`);
    const [, second] = await server.mailsTo(email, 2);
    expect(second?.headers['message-id']).toBe(first?.headers['message-id']);
    expect(second?.text).toBe(first?.text);
    const [row] = await finishedMails(app, email, TEMPLATE);
    expect(row).toMatchObject({ status: 'SENT', attempts: 2 });
    const signedIn = await app.http
      .post('/api/v1/auth/login')
      .send({ email, password: PASSWORD })
      .expect(200);
    await app.http
      .post('/api/v1/auth/verify-email')
      .set('authorization', `Bearer ${signedIn.body.accessToken}`)
      .send({ token: tokenIn(first?.text ?? '') })
      .expect(204);
  });

  it('to a disabled account is not sent, and leaves no row', async () => {
    await app.worker?.stop();
    const email = await register(app);
    await app.database.query('update users set disabled_at = now() where email = $1', [email]);
    await app.startWorker();
    await settleMail(app);
    expect(await mailRows(app, email)).toEqual([]);
    expect(server.mails.filter(({ to }) => to.includes(email))).toEqual([]);
  });
});

describe('a mail server', () => {
  const authority = new CertificateAuthority();
  const certificate = authority.issue('localhost', ['localhost']);
  const user = { name: 'studio@example.com', password: 'p@ss/w:rd%' };
  let folder: string;
  let trust: Record<string, string>;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atelier-mail-'));
    const path = join(folder, 'ca.pem');
    await writeFile(path, authority.certificate);
    trust = { NODE_EXTRA_CA_CERTS: path };
  });

  afterAll(() => rm(folder, { recursive: true }));

  /** Has a worker send through another server while something is done. */
  async function through(
    other: MailServer,
    variables: Record<string, string>,
    act: () => Promise<void>,
  ): Promise<void> {
    await app.worker?.stop();
    await app.startWorker({ ...other.variables, ...variables });
    try {
      await act();
    } finally {
      await other.close();
      await app.worker?.stop();
      await app.startWorker();
    }
  }

  it.each([
    ['STARTTLS', false],
    ['TLS from the first byte', true],
  ])('is signed in to over %s', async (_name, isImplicit) => {
    const other = await MailServer.start({ user, tls: { certificate, isImplicit } });
    await through(other, trust, async () => {
      const email = await register(app);
      const [mail] = await other.mailsTo(email);
      expect(mail).toMatchObject({ isEncrypted: true, user: user.name });
    });
  });

  it('is told no password that does not offer TLS, or has no certificate that we trust', async () => {
    for (const tls of [undefined, { certificate }]) {
      const other = await MailServer.start({ user, ...(tls && { tls }) });
      await through(other, {}, async () => {
        const email = await register(app);
        await eventually(
          () => mailRows(app, email),
          ([row]) => row?.attempts === 1 && row['lease_id'] === null,
        );
        expect(other.mails).toEqual([]);
        await app.worker?.tells('MailNotSent');
        expect(app.worker?.output).not.toMatch(/p@ss|p%40ss/);
      });
    }
  });
});
