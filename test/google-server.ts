import {
  createHash,
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** Somebody with a Google account, by the claims of OpenID Connect. */
export interface GooglePerson {
  sub: string;
  email?: string;
  email_verified?: unknown;
  name?: string;
  given_name?: string;
  family_name?: string;
  locale?: string;
}

/** What an endpoint does instead of its work. */
type Fault = 'hang' | 'cut' | 'huge' | { status: number; body: string };

/** A code that was given out, and what it is only good with. */
interface Grant {
  person: GooglePerson;
  redirectUri: string;
  challenge: string;
}

/** How a forged ID token is made. */
interface Forgery {
  alg?: string;
  /** Null to leave it out. */
  kid?: string | null;
  /** Signs instead of Google's: a private key for RS256, bytes for HS256, or nothing at all. */
  key?: KeyObject | Buffer | 'none';
}

const CLIENT_ID = 'web.apps.googleusercontent.com';
const CLIENT_SECRET = 'canary-google-client-secret';
export const MOBILE_CLIENT_ID = 'ios.apps.googleusercontent.com';

/** Google on loopback: it asks for what Google asks for, and misbehaves as a test wants it. */
export class GoogleServer {
  /** Who is signed in at Google, in whatever browser comes. */
  person: GooglePerson = { sub: 'nobody' };
  /** What the person, or Google, says instead of yes. */
  refusal: string | undefined;
  readonly faults = new Map<string, Fault>();
  /** How often each endpoint was asked, by path. */
  readonly asked: Record<string, number> = {};
  /** The secrets that were given out. */
  readonly secrets: string[] = [CLIENT_SECRET];
  private readonly grants = new Map<string, Grant>();
  private readonly tokens = new Map<string, GooglePerson>();
  private keys = makeKeys();
  /** There are two at a time, as at Google. */
  private otherKeys = makeKeys();

  private constructor(private readonly server: Server) {
    server.on('request', (request, response) => {
      void this.answer(request, response);
    });
  }

  static async start(): Promise<GoogleServer> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new GoogleServer(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** The variables for a product whose people sign in here. */
  get variables(): Record<string, string> {
    return {
      GOOGLE_CLIENT_ID: CLIENT_ID,
      GOOGLE_CLIENT_SECRET: CLIENT_SECRET,
      GOOGLE_MOBILE_CLIENT_IDS: MOBILE_CLIENT_ID,
      GOOGLE_AUTH_URL: `${this.url}/auth`,
      GOOGLE_TOKEN_URL: `${this.url}/token`,
      GOOGLE_USERINFO_URL: `${this.url}/userinfo`,
      GOOGLE_KEYS_URL: `${this.url}/keys`,
    };
  }

  /** An ID token as an app gets it; what is undefined in the claims is left out. */
  idToken(person: GooglePerson, claims: object = {}, forgery: Forgery = {}): string {
    const { alg = 'RS256', kid = this.keys.id, key = this.keys.pair.privateKey } = forgery;
    const now = Math.floor(Date.now() / 1_000);
    const payload = {
      ...{ iss: 'https://accounts.google.com', aud: CLIENT_ID, azp: CLIENT_ID },
      ...{ iat: now, exp: now + 3_600 },
      ...person,
      ...claims,
    };
    const signed = [{ alg, kid: kid ?? undefined, typ: 'JWT' }, payload]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const token = `${signed}.${signatureOf(signed, key)}`;
    this.secrets.push(token);
    return token;
  }

  /** What anybody can read, and somebody might take for the key of an HMAC. */
  get publicPem(): Buffer {
    return Buffer.from(this.keys.pair.publicKey.export({ type: 'spki', format: 'pem' }));
  }

  /** Signs with another key from now on, and takes back those of before. */
  rotateKeys(): void {
    this.keys = makeKeys();
    this.otherKeys = makeKeys();
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url);
    const path = pathname.slice(1);
    this.asked[path] = (this.asked[path] ?? 0) + 1;
    const fault = this.faults.get(path);
    if (fault !== undefined) misbehave(response, fault);
    else if (path === 'auth') this.sendBack(response, searchParams);
    else if (path === 'token') this.exchange(response, new URLSearchParams(await text(request)));
    else if (path === 'userinfo') this.tell(request, response);
    else if (path === 'keys')
      json(response, 200, {
        keys: [this.otherKeys, this.keys].map(publicKeyOf),
      });
    else json(response, 404, {});
  }

  private sendBack(response: ServerResponse, query: URLSearchParams): void {
    const { client_id, response_type, redirect_uri, state, scope, ...pkce } = fields(query);
    const isRight =
      client_id === CLIENT_ID &&
      response_type === 'code' &&
      pkce['code_challenge_method'] === 'S256' &&
      ['openid', 'email', 'profile'].every((each) => scope?.split(' ').includes(each));
    if (!isRight || redirect_uri === undefined || state === undefined) {
      json(response, 400, { error: 'invalid_request' });
      return;
    }
    const back = new URL(redirect_uri);
    back.searchParams.set('state', state);
    if (this.refusal === undefined) {
      const code = this.give({
        challenge: pkce['code_challenge'] ?? '',
        redirectUri: redirect_uri,
      });
      for (const [name, value] of Object.entries({ code, scope: scope ?? '', authuser: '0' })) {
        back.searchParams.set(name, value);
      }
    } else {
      back.searchParams.set('error', this.refusal);
      back.searchParams.set('error_description', '<script>canary-from-google</script>');
    }
    response.writeHead(302, { location: back.href }).end();
  }

  private give(grant: Omit<Grant, 'person'>): string {
    const code = `4/canary-code-${randomBytes(16).toString('hex')}`;
    this.grants.set(code, { ...grant, person: this.person });
    this.secrets.push(code, encodeURIComponent(code));
    return code;
  }

  /** Each code once, and only for the client that it was given to, with its verifier. */
  private exchange(response: ServerResponse, body: URLSearchParams): void {
    const { client_id, client_secret, code = '', code_verifier = '', redirect_uri } = fields(body);
    if (client_id !== CLIENT_ID || client_secret !== CLIENT_SECRET) {
      json(response, 401, { error: 'invalid_client', error_description: 'canary-from-google' });
      return;
    }
    const grant = this.grants.get(code);
    this.grants.delete(code);
    const challenge = createHash('sha256').update(code_verifier).digest('base64url');
    if (grant?.challenge !== challenge || grant.redirectUri !== redirect_uri) {
      json(response, 400, { error: 'invalid_grant', error_description: 'canary-from-google' });
      return;
    }
    const token = `canary-access-${randomBytes(16).toString('hex')}`;
    this.tokens.set(token, grant.person);
    this.secrets.push(token, code_verifier);
    json(response, 200, { access_token: token, token_type: 'Bearer', expires_in: 3_599 });
  }

  private tell({ headers }: IncomingMessage, response: ServerResponse): void {
    const person = this.tokens.get((headers.authorization ?? '').replace(/^Bearer /, ''));
    if (person) json(response, 200, person);
    else json(response, 401, { error: { message: 'canary-from-google', code: 401 } });
  }
}

function makeKeys() {
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { id: randomBytes(8).toString('hex'), pair };
}

function publicKeyOf({ id, pair }: ReturnType<typeof makeKeys>) {
  return { ...pair.publicKey.export({ format: 'jwk' }), kid: id, use: 'sig', alg: 'RS256' };
}

function signatureOf(signed: string, key: KeyObject | Buffer | 'none'): string {
  if (key === 'none') return '';
  if (Buffer.isBuffer(key)) return createHmac('sha256', key).update(signed).digest('base64url');
  return sign('sha256', Buffer.from(signed), key).toString('base64url');
}

function fields(parameters: URLSearchParams): Record<string, string | undefined> {
  return Object.fromEntries(parameters);
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function misbehave(response: ServerResponse, fault: Fault): void {
  if (fault === 'hang') return;
  if (fault === 'cut') {
    response.writeHead(200, { 'content-length': '1000' }).write('{"access_token":');
    setImmediate(() => response.destroy());
  } else if (fault === 'huge') {
    response.writeHead(200).end(JSON.stringify({ sub: '1', more: 'x'.repeat(1_000_000) }));
  } else {
    response.writeHead(fault.status).end(fault.body);
  }
}
