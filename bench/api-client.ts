import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { buffer } from 'node:stream/consumers';

/** What the benches read of an image; the answers hold more. */
export interface ImageAnswer {
  id: string;
  userId: string;
  status: 'PENDING' | 'PROCESSING' | 'COMPLETED' | 'FAILED';
  dimensions: { width: number | null; height: number | null };
  variants: Partial<Record<string, { url: string; width: number; height: number; bytes: number }>>;
  error: { code: string; detail: string } | null;
}

export interface Answer {
  status: number;
  headers: Record<string, string>;
  contentType: string;
  body: Buffer;
}

/** A file in pieces that are not copied together. */
export type FileParts = readonly Buffer[];

interface RequestOptions {
  method?: string;
  headers?: Record<string, string>;
  parts?: FileParts;
}

/**
 * A client that costs little: it shares the machine with what it measures. Connections are kept
 * open, as many as there are requests at once.
 */
export class ApiClient {
  private readonly agent = new Agent({ keepAlive: true });
  private readonly url: string;
  private bearer = '';

  private constructor(url: string) {
    this.url = url;
  }

  /** Makes a new account and signs in. */
  static async register(url: string): Promise<ApiClient> {
    const client = new ApiClient(url);
    const account = {
      email: `${randomBytes(8).toString('hex')}@example.com`,
      password: randomBytes(12).toString('hex'),
      name: 'Bench',
      kind: 'personal',
    };
    const answer = await client.request('/api/v1/auth/register', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      parts: [Buffer.from(JSON.stringify(account))],
    });
    client.bearer = (parse(answer, 201) as { accessToken: string }).accessToken;
    return client;
  }

  /** The access token of the account. */
  get token(): string {
    return this.bearer;
  }

  /** @param waitSeconds how long the answer may be held until the image is final; at most 30 */
  upload(file: FileParts, waitSeconds = 0): Promise<Answer> {
    const boundary = `bench-${randomBytes(12).toString('hex')}`;
    const head = `--${boundary}\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n`;
    return this.request('/api/v1/images/upload', {
      method: 'POST',
      headers: {
        'content-type': `multipart/form-data; boundary=${boundary}`,
        prefer: `wait=${waitSeconds}`,
      },
      parts: [Buffer.from(head), ...file, Buffer.from(`\r\n--${boundary}--\r\n`)],
    });
  }

  /** Uploads a picture that must become COMPLETED at once. */
  async uploadAndWait(file: FileParts): Promise<ImageAnswer> {
    const image = parse(await this.upload(file, 30), 201) as ImageAnswer;
    if (image.status === 'COMPLETED') return image;
    throw new Error(`An image became ${image.status}: ${image.error?.code ?? 'no code'}`);
  }

  get(pathOrUrl: string): Promise<Answer> {
    return this.request(pathOrUrl, {});
  }

  async delete(path: string): Promise<void> {
    const { status } = await this.request(path, { method: 'DELETE' });
    if (status !== 204) throw new Error(`DELETE ${path} was answered with ${status}.`);
  }

  close(): void {
    this.agent.destroy();
  }

  private async request(
    pathOrUrl: string,
    { method = 'GET', headers = {}, parts = [] }: RequestOptions,
  ): Promise<Answer> {
    const length = parts.reduce((bytes, part) => bytes + part.byteLength, 0);
    const sent = request(new URL(pathOrUrl, this.url), {
      method,
      agent: this.agent,
      headers: {
        ...headers,
        ...(this.bearer !== '' && { authorization: `Bearer ${this.bearer}` }),
        ...(length > 0 && { 'content-length': length }),
      },
    });
    const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
    for (const part of parts) sent.write(part);
    sent.end();
    const [response] = await answered;
    return {
      status: response.statusCode ?? 0,
      headers: response.headers as Record<string, string>,
      contentType: response.headers['content-type'] ?? '',
      body: await buffer(response),
    };
  }
}

/** @throws Error with the answer's words when its status is another */
export function parse({ status, body }: Answer, expected: number): unknown {
  if (status === expected) return JSON.parse(body.toString());
  throw new Error(`Answered with ${status} and not ${expected}: ${body.toString().slice(0, 500)}`);
}
