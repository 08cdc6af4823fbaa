import { createTransport } from 'nodemailer';
import type { Env } from '../core/env.js';
import { withoutBrackets } from '../core/env/url-host.js';
import { JobRefusal } from '../queue/job-errors.js';
import type { Letter } from './letter.js';

/** How long the server may take to let us in, and for each answer, in milliseconds. */
const CONNECT_MS = 10_000;
const ANSWER_MS = 30_000;

export type SmtpEnv = Required<Pick<Env, 'SMTP_URL' | 'MAIL_FROM'>>;

/** What nodemailer tells of a failure. */
interface SmtpFailure {
  code?: string;
  /** What Node called it. */
  originalCode?: string;
  /** `CONN`, or the command that was answered. */
  command?: string;
  responseCode?: number;
  response?: string;
}

/**
 * A mail was not sent. The message holds codes alone: servers repeat addresses in their answers, and
 * some the links that a mail holds.
 */
export class MailNotSent extends Error {
  constructor({ code, originalCode, command = 'CONN', responseCode, response = '' }: SmtpFailure) {
    super(
      responseCode === undefined
        ? `No word with the mail server: ${originalCode ?? code ?? 'unknown'} at ${command}`
        : `The mail server says ${[responseCode, enhancedCode(response)].join(' ').trim()} to ${command}`,
    );
    this.name = 'MailNotSent';
  }
}

/** Sends mail through a server of the operator's, each on a connection of its own. */
export class SmtpClient {
  private readonly transport: ReturnType<typeof transportOf>;

  constructor(private readonly env: SmtpEnv) {
    this.transport = transportOf(env.SMTP_URL);
  }

  /**
   * @throws JobRefusal when the server will never take mail for the recipient
   * @throws MailNotSent
   */
  async send({ id, to, subject, text, language }: Letter, signal: AbortSignal): Promise<void> {
    const { MAIL_FROM: from } = this.env;
    try {
      await this.transport.sendMail({
        from,
        to: { name: '', address: to },
        subject,
        text,
        // The same for each attempt, so that a repeat can be told from another mail.
        messageId: `<${id}@${from.address.slice(from.address.lastIndexOf('@') + 1)}>`,
        headers: {
          'Content-Language': language,
          // No answers of those who are away: RFC 3834 section 5.
          'Auto-Submitted': 'auto-generated',
        },
        disableFileAccess: true,
        disableUrlAccess: true,
        signal,
      });
    } catch (error) {
      const failure = error as SmtpFailure;
      if (!isRecipientRefused(failure)) throw new MailNotSent(failure);
      throw new JobRefusal('recipient-refused', 'The mail server takes no mail for this address.');
    }
  }
}

/** Whoever signs in does so over TLS alone; else TLS is used when the server has it. */
function transportOf(smtpUrl: string) {
  const { protocol, hostname, port, username, password } = new URL(smtpUrl);
  const isSecure = protocol === 'smtps:';
  return createTransport({
    host: withoutBrackets(hostname),
    port: port === '' ? (isSecure ? 465 : 587) : Number(port),
    secure: isSecure,
    ...(username !== '' && {
      auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) },
      requireTLS: !isSecure,
    }),
    dnsTimeout: CONNECT_MS,
    connectionTimeout: CONNECT_MS,
    greetingTimeout: CONNECT_MS,
    socketTimeout: ANSWER_MS,
  });
}

/**
 * By the code of the mail system (RFC 5321 section 4.2.1), and what it is about (RFC 3463): addresses
 * and mailboxes are the recipient's, policy is between the servers and for the operator to mend.
 */
function isRecipientRefused({ responseCode = 0, command, response = '' }: SmtpFailure): boolean {
  if (responseCode < 550 || responseCode > 559) return false;
  const [, subject] = enhancedCode(response).split('.');
  if (command === 'RCPT TO') return subject !== '7';
  return command === 'DATA' && (subject === '1' || subject === '2');
}

function enhancedCode(response: string): string {
  return /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})\b/.exec(response)?.[1] ?? '';
}
