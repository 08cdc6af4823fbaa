import { connect } from 'node:net';

/** What came back over one connection. */
export interface RawAnswer {
  /** 0 when there was none. */
  status: number;
  /** The header lines, in lower case. */
  head: string;
  body: string;
}

/** Sends bytes as they are, which no HTTP client would, and reads until the connection ends. */
export async function sendRaw(url: string, request: string | Buffer): Promise<RawAnswer> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  const chunks: Buffer[] = [];
  const ended = new Promise<void>((resolve) => {
    // An end in the middle of a request is the answer to some of them.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve();
    });
  });
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.write(request);
  await ended;
  const [head = '', ...body] = Buffer.concat(chunks).toString('latin1').split('\r\n\r\n');
  return {
    status: Number(head.split(' ')[1] ?? 0),
    head: head.toLowerCase(),
    body: body.join('\r\n\r\n'),
  };
}

/** A whole request that asks for its connection to be closed. */
export function rawRequest(
  method: string,
  path: string,
  headers: Record<string, string>,
  body?: string | Buffer,
): Buffer {
  const lines = Object.entries({
    host: 'x',
    connection: 'close',
    ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }),
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([
    Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'),
    Buffer.from(body ?? ''),
  ]);
}
