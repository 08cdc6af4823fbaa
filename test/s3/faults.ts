import { setTimeout as sleep } from 'node:timers/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { S3Error, sendXml } from './s3-error.js';

/** The names of S3's API for what the server does. */
export type Operation =
  | 'AbortMultipartUpload'
  | 'CompleteMultipartUpload'
  | 'CreateMultipartUpload'
  | 'DeleteObject'
  | 'GetObject'
  | 'HeadBucket'
  | 'HeadObject'
  | 'ListMultipartUploads'
  | 'ListObjectsV2'
  | 'PutObject'
  | 'UploadPart';

/** What goes wrong. */
export type Trouble =
  /** The store answers so, once it has read the request. @param status in the place of the code's own */
  | { fail: keyof typeof STATUS; status?: number }
  /** The connection breaks after so many bytes of the answer's body. */
  | { cutAnswerAfter: number }
  /** The connection breaks after so many bytes of the request's body. */
  | { cutRequestAfter: number }
  /** The answer comes late. */
  | { delayMs: number }
  /** The answer never comes. */
  | { hang: true }
  /** The store keeps other bytes than it was sent. */
  | { garble: true }
  /** The answer to a GET of an object has this status, and these headers in the place of its own. */
  | { claim: { status?: number; headers: Record<string, string> } }
  /** The answer has this status, and a body that never ends. */
  | { endless: number }
  /** The answer is this document. */
  | { say: string }
  /** The work is done, and the connection breaks before the answer. */
  | { loseAnswer: true };

type Fault = Trouble & {
  /** Default: all. */
  on?: Operation;
  /** How often; without it until {@link Faults.clear}. */
  times?: number;
};

const STATUS = {
  InternalError: 500,
  SlowDown: 503,
  AccessDenied: 403,
  NoSuchBucket: 404,
  NoSuchKey: 404,
};

/** What is to go wrong, in the order in which it was asked for. */
export class Faults {
  private faults: Fault[] = [];

  add(fault: Fault): void {
    this.faults.push({ ...fault });
  }

  clear(): void {
    this.faults = [];
  }

  /** What goes wrong with this request, which uses up one of its times. */
  take(operation: Operation): Trouble | undefined {
    const fault = this.faults.find(
      ({ on = operation, times = 1 }) => on === operation && times > 0,
    );
    if (fault?.times !== undefined) fault.times -= 1;
    return fault;
  }
}

/** Troubles that come before the work. @returns whether the request goes on */
export async function beforeWork(
  trouble: Trouble | undefined,
  response: ServerResponse,
): Promise<boolean> {
  if (!trouble) return true;
  if ('fail' in trouble) throw new S3Error(trouble.status ?? STATUS[trouble.fail], trouble.fail);
  if ('hang' in trouble) return false;
  if ('say' in trouble) {
    sendXml(response, 200, trouble.say);
    return false;
  }
  if ('endless' in trouble) {
    void sendWithoutEnd(response.writeHead(trouble.endless, { 'content-type': 'application/xml' }));
    return false;
  }
  if ('delayMs' in trouble) await sleep(trouble.delayMs, undefined, { ref: false });
  return !response.destroyed;
}

/** Twelve megabytes in a second, or what the other side takes, for as long as that listens. */
async function sendWithoutEnd(response: ServerResponse): Promise<void> {
  const chunk = Buffer.alloc(128 * 1024, ' ');
  while (!response.destroyed) {
    if (!response.writableNeedDrain) response.write(chunk);
    await sleep(10, undefined, { ref: false });
  }
}

/** Breaks the connection while the request comes in, where that is the trouble. */
export function cutRequest(trouble: Trouble | undefined, request: IncomingMessage): void {
  if (!trouble || !('cutRequestAfter' in trouble)) return;
  let left = trouble.cutRequestAfter;
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left <= 0) request.socket.destroy();
  });
}

/** Sends the answer's body, or as much of it as the trouble lets through. */
export function sendBody(
  trouble: Trouble | undefined,
  response: ServerResponse,
  body: Buffer,
): void {
  if (trouble && 'cutAnswerAfter' in trouble && trouble.cutAnswerAfter < body.length) {
    response.write(body.subarray(0, trouble.cutAnswerAfter), () => {
      response.socket?.destroySoon();
    });
  } else {
    response.end(body);
  }
}
