import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { Bucket } from './bucket.js';
import { requirePlain, verifyBody } from './checksums.js';
import { beforeWork, cutRequest, Faults, type Operation } from './faults.js';
import { OPERATIONS, operationOf } from './operations.js';
import { S3Error, sendError } from './s3-error.js';
import { type Credentials, verifySignature } from './signature.js';

interface Options {
  /** The most that one page of a list holds. Default: 1,000, as on S3. */
  pageSize?: number;
}

/** What was asked of the server. */
export interface Asked {
  operation: Operation;
  key: string;
  headers: IncomingMessage['headers'];
}

/**
 * An S3 store on loopback, written from S3's public API reference, with one bucket in memory.
 *
 * It believes nothing: signatures, hashes of bodies and checksums are verified, and what compatible
 * stores refuse it refuses as well. What {@link faults} says goes wrong.
 */
export class S3Server {
  readonly bucketName = 'pictures';
  readonly region = 'auto';
  readonly credentials: Credentials = {
    accessKeyId: 'AKIALOOPBACK',
    secretAccessKey: 'a secret of the loopback store+/=',
  };
  readonly bucket = new Bucket();
  readonly faults = new Faults();
  /** All requests whose signature was right, oldest first. */
  readonly asked: Asked[] = [];
  /** All refusals, by code. */
  readonly refused: string[] = [];
  private busy = 0;

  private constructor(
    private readonly server: Server,
    private readonly pageSize: number,
  ) {}

  static async start({ pageSize = 1_000 }: Options = {}): Promise<S3Server> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const store = new S3Server(server, pageSize);
    server.on('request', (request, response) => {
      void store.answer(request, response);
    });
    return store;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The variables by which the product uses this store. */
  get variables(): Record<string, string> {
    return {
      S3_ENDPOINT: this.url,
      S3_REGION: this.region,
      S3_BUCKET: this.bucketName,
      S3_ACCESS_KEY_ID: this.credentials.accessKeyId,
      S3_SECRET_ACCESS_KEY: this.credentials.secretAccessKey,
    };
  }

  /** How often an operation was asked for. */
  count(operation: Operation): number {
    return this.asked.filter((each) => each.operation === operation).length;
  }

  /** How many requests have not been answered, or not to their end. */
  get openRequests(): number {
    return this.busy;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.busy += 1;
    response.once('close', () => {
      this.busy -= 1;
    });
    try {
      await this.work(request, response);
    } catch (error) {
      // The client went away, or was cut off: there is nobody to answer.
      if (!(error instanceof S3Error)) {
        response.destroy();
        return;
      }
      this.refused.push(error.code);
      request.resume();
      sendError(response, error);
    }
  }

  private async work(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', headers } = request;
    const payloadHash = verifySignature(request, this.credentials, this.region);
    requirePlain(method, headers);
    const { key, query } = this.addressOf(request);
    const operation = operationOf(method, key, query);
    this.asked.push({ operation, key, headers });
    const trouble = this.faults.take(operation);
    cutRequest(trouble, request);
    const body = await buffer(request);
    verifyBody(body, payloadHash);
    if (!(await beforeWork(trouble, response))) return;
    if (trouble && 'garble' in trouble) body.reverse();
    const { bucket, pageSize } = this;
    if (trouble && 'loseAnswer' in trouble) response.end = () => response.destroy();
    OPERATIONS[operation]({ request, response, bucket, key, query, body, pageSize, trouble });
  }

  /** The bucket is the first name of the path, or of the host. */
  private addressOf({ url = '/', headers }: IncomingMessage) {
    const [path = '/', query = ''] = url.split('?');
    const isVirtualHost = headers.host?.startsWith(`${this.bucketName}.`) === true;
    const [bucket, ...rest] = path.slice(1).split('/');
    if (!isVirtualHost && bucket !== this.bucketName) throw new S3Error(404, 'NoSuchBucket');
    const key = decodeURIComponent(isVirtualHost ? path.slice(1) : rest.join('/'));
    return { key, query: new URLSearchParams(query) };
  }
}
