import { once } from 'node:events';
import type { Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import smtp from 'smtp-server';
import type { SMTPServerSession } from 'smtp-server';
import type { Certificate } from './certificates.js';
import { eventually } from './eventually.js';

/** A mail as the server was sent it. */
export interface ReceivedMail {
  from: string;
  to: string[];
  /** By lower-case name. */
  headers: Record<string, string>;
  text: string;
  /** Whether it came over TLS. */
  isEncrypted: boolean;
  /** Who had signed in. */
  user: string | undefined;
}

/** What the server says instead of yes. */
export interface Refusal {
  at: 'RCPT' | 'DATA';
  status: number;
  text: string;
  /** How often; then it relents. Default: always. */
  times?: number;
}

interface MailServerOptions {
  port?: number;
  /** Who may send mail. Default: anyone. */
  user?: { name: string; password: string };
  /** For STARTTLS, or from the first byte on. Default: none is offered. */
  tls?: { certificate: Certificate; isImplicit?: boolean };
}

/** A mail server on loopback that takes what it is sent, or refuses as a test wants it. */
export class MailServer {
  readonly mails: ReceivedMail[] = [];
  refusal: Refusal | undefined;
  /** Says nothing to a mail that it has taken. */
  isSilent = false;
  private readonly server: InstanceType<typeof smtp.SMTPServer>;
  private readonly sockets = new Set<Socket>();

  private constructor(private readonly options: MailServerOptions) {
    const { user, tls } = options;
    this.server = new smtp.SMTPServer({
      secure: tls?.isImplicit ?? false,
      ...(tls && { cert: tls.certificate.certificate, key: tls.certificate.key }),
      disabledCommands: [...(tls ? [] : ['STARTTLS']), ...(user ? [] : ['AUTH'])],
      authOptional: user === undefined,
      disableReverseLookup: true,
      logger: false,
      onAuth: ({ username, password }, _session, done) => {
        if (username === user?.name && password === user?.password) done(null, { user: username });
        else done(new Error('no such user'));
      },
      onRcptTo: (_address, _session, done) => {
        done(this.refusalAt('RCPT'));
      },
      onData: (stream, session, done) => {
        void buffer(stream).then((raw) => {
          const refusal = this.refusalAt('DATA', raw.toString());
          if (!refusal) this.mails.push(received(raw.toString(), session));
          if (!this.isSilent) done(refusal);
        });
      },
    });
    this.server.on('error', () => undefined); // of clients that are killed
    this.server.server.on('connection', (socket: Socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
  }

  static async start(options: MailServerOptions = {}): Promise<MailServer> {
    const server = new MailServer(options);
    const listening = once(server.server.server, 'listening');
    server.server.listen(options.port ?? 0, '127.0.0.1');
    await listening;
    return server;
  }

  get port(): number {
    return (this.server.server.address() as { port: number }).port;
  }

  /** The variables for a product that sends through it. */
  get variables(): Record<string, string> {
    const { user, tls } = this.options;
    const credentials = user
      ? `${encodeURIComponent(user.name)}:${encodeURIComponent(user.password)}@`
      : '';
    const scheme = tls?.isImplicit ? 'smtps' : 'smtp';
    return {
      SMTP_URL: `${scheme}://${credentials}localhost:${this.port}`,
      MAIL_FROM: '"Atelier, the studio" <no-reply@atelier.example>',
    };
  }

  /** The mails to an address, when there are so many. */
  async mailsTo(address: string, count = 1): Promise<ReceivedMail[]> {
    return eventually(
      async () => this.mails.filter(({ to }) => to.includes(address)),
      (mails) => mails.length >= count,
    );
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.server.close(resolve);
    });
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private refusalAt(at: Refusal['at'], mail = ''): Error | null {
    const { refusal } = this;
    if (refusal?.at !== at) return null;
    if (refusal.times !== undefined && --refusal.times === 0) this.refusal = undefined;
    // As spam filters do, it names what it does not like.
    const [link = ''] = /http\S*/.exec(decodeQuotedPrintable(mail)) ?? [];
    const text = refusal.text.replace('LINK', link);
    return Object.assign(new Error(text), { responseCode: refusal.status });
  }
}

function received(raw: string, session: SMTPServerSession): ReceivedMail {
  const [head = '', ...body] = raw.split('\r\n\r\n');
  const lines = head.replace(/\r\n[ \t]+/g, ' ').split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), decodeWords(line.slice(colon + 1).trim())];
    }),
  );
  const text = body.join('\r\n\r\n').replaceAll('\r\n', '\n');
  const isQuoted = headers['content-transfer-encoding'] === 'quoted-printable';
  const { mailFrom, rcptTo } = session.envelope;
  return {
    from: mailFrom === false ? '' : mailFrom.address,
    to: rcptTo.map(({ address }) => address),
    headers,
    text: isQuoted ? decodeQuotedPrintable(text) : text,
    isEncrypted: session.secure,
    user: session.user as string | undefined,
  };
}

/** RFC 2045 section 6.7. */
function decodeQuotedPrintable(text: string): string {
  return bytesOf(text.replace(/=\r?\n/g, ''));
}

/** RFC 2047. */
function decodeWords(value: string): string {
  return value
    .replace(/\?=\s+=\?/g, '?==?')
    .replace(/=\?utf-8\?([qb])\?([^?]*)\?=/gi, (_, encoding: string, word: string) =>
      encoding.toLowerCase() === 'b'
        ? Buffer.from(word, 'base64').toString()
        : bytesOf(word.replaceAll('_', ' ')),
    );
}

function bytesOf(text: string): string {
  const latin = text.replace(/=([0-9A-F]{2})/gi, (_, hex: string) =>
    String.fromCharCode(parseInt(hex, 16)),
  );
  return Buffer.from(latin, 'latin1').toString();
}
