import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json as readJson } from 'node:stream/consumers';
import { eventually } from './eventually.js';
import { drawing } from './pictures.js';

/** One part of what a model says, as Google sends it. */
export type GeminiPart =
  | { text: string; thought?: boolean }
  | { inlineData: { mimeType: string; data: string }; thought?: boolean };

/** What Gemini does with one request. */
export type GeminiAnswer =
  /** Says something, with the reason why it stopped. */
  | { parts?: GeminiPart[]; finishReason?: string; usage?: object }
  /** Takes offence at the prompt. */
  | { blockReason: string; usage?: object }
  /** Refuses the call. */
  | { status: number; reason?: string; details?: object[]; headers?: Record<string, string> }
  /** Sends whatever this is as a good answer. */
  | { body: string }
  /** Sends the beginning of a good answer, and its end once that is there. */
  | { begin: Buffer; end: Promise<string> }
  /** Never answers; or stops in the middle; or drops the connection before or amid an answer. */
  | 'hang'
  | 'hang-amid'
  | 'cut'
  | 'cut-amid'
  /** Sends a picture that never ends. */
  | 'endless';

/** What was asked, as it came. */
export interface GeminiRequest {
  readonly model: string;
  readonly key: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: {
    contents: { role: string; parts: Record<string, any>[] }[];
    generationConfig: Record<string, any>;
  };
  /** How many bytes of the answer went out. */
  readonly sent: () => number;
  /** How many bytes of it, so far, nobody takes. */
  readonly unsent: () => number;
  /** Whether somebody still waits for the answer. */
  readonly isOpen: () => boolean;
}

type Script = GeminiAnswer | ((request: GeminiRequest) => GeminiAnswer | Promise<GeminiAnswer>);

const API_KEY = 'canary-gemini-api-key';
const MODEL = 'gemini-nano-banana-2.1';
/** The SDK chooses the version of the API. */
const PATH = /^\/v1\w*\/models\/([\w.-]+):generateContent$/;
const RATIOS = ['1:1', '2:3', '3:2', '3:4', '4:3', '4:5', '5:4', '9:16', '16:9', '21:9'];
const USAGE = {
  promptTokenCount: 9,
  candidatesTokenCount: 1_120,
  candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: 1_120 }],
  thoughtsTokenCount: 71,
  totalTokenCount: 1_200,
};

/** Gemini on loopback: it asks for what Google asks for, and does what a test wants it to. */
export class GeminiServer {
  /** What it does with the next requests, first things first. */
  readonly next: Script[] = [];
  /** What it does with those after them. */
  otherwise: Script;
  readonly requests: GeminiRequest[] = [];

  private constructor(
    private readonly server: Server,
    /** A small PNG. */
    readonly picture: Buffer,
  ) {
    this.otherwise = { parts: [pictureOf(picture)] };
    server.on('request', (request, response) => {
      void this.take(request, response);
    });
  }

  static async start(): Promise<GeminiServer> {
    const picture = await drawing().png().toBuffer();
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new GeminiServer(server, picture);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** The variables for a product that asks here. */
  get variables(): Record<string, string> {
    return { GEMINI_API_KEY: API_KEY, GEMINI_BASE_URL: this.url };
  }

  /** Waits until so many requests have come. */
  async asked(count: number): Promise<void> {
    await eventually(
      async () => this.requests.length,
      (come) => come >= count,
    );
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private async take(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined);
    const { pathname } = new URL(incoming.url ?? '/', this.url);
    const body = (await readJson(incoming)) as GeminiRequest['body'];
    const request: GeminiRequest = {
      model: PATH.exec(pathname)?.[1] ?? '',
      key: incoming.headers['x-goog-api-key'] as string | undefined,
      headers: incoming.headers,
      body,
      sent: () => response.socket?.bytesWritten ?? 0,
      // Before it is begun, all of it.
      unsent: () => (response.headersSent ? response.writableLength : Infinity),
      isOpen: () => !response.writableEnded && !response.destroyed,
    };
    this.requests.push(request);
    const refusal = refusalOf(incoming.method, request);
    if (refusal) {
      answer(response, refusal);
      return;
    }
    const script = this.next.shift() ?? this.otherwise;
    answer(response, typeof script === 'function' ? await script(request) : script);
  }
}

/** A picture as a part, under whatever name. */
export function pictureOf(bytes: Buffer, mimeType = 'image/png'): GeminiPart {
  return { inlineData: { mimeType, data: bytes.toString('base64') } };
}

/** What Google says to calls that are not right. */
function refusalOf(
  method: string | undefined,
  { model, key, body }: GeminiRequest,
): GeminiAnswer | undefined {
  if (key !== API_KEY) {
    const details = [
      {
        '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
        reason: 'API_KEY_INVALID',
        domain: 'googleapis.com',
      },
    ];
    return { status: 400, reason: 'INVALID_ARGUMENT', details };
  }
  if (model !== MODEL || method !== 'POST') return { status: 404, reason: 'NOT_FOUND' };
  const { responseModalities, imageConfig, seed } = body.generationConfig;
  const isRight =
    body.contents.length === 1 &&
    String(responseModalities) === 'IMAGE' &&
    RATIOS.includes(imageConfig.aspectRatio) &&
    ['1K', '2K', '4K'].includes(imageConfig.imageSize) &&
    Number.isInteger(seed) &&
    Math.abs(seed) <= 2_147_483_647;
  return isRight ? undefined : { status: 400, reason: 'INVALID_ARGUMENT' };
}

function answer(response: ServerResponse, what: GeminiAnswer): void {
  if (what === 'hang') return;
  if (what === 'cut') response.destroy();
  else if (what === 'endless') sendEndlessly(response);
  else if (what === 'hang-amid' || what === 'cut-amid') {
    response.writeHead(200, { 'content-type': 'application/json' }).write('{"candidates":[{"con');
    if (what === 'cut-amid') setImmediate(() => response.destroy());
  } else if ('begin' in what) void sendInTwo(response, what);
  else if ('status' in what) refuse(response, what);
  else json(response, 200, 'body' in what ? what.body : JSON.stringify(said(what)));
}

function said(
  what:
    | { parts?: GeminiPart[]; finishReason?: string; usage?: object }
    | { blockReason: string; usage?: object },
) {
  const { usage: usageMetadata = USAGE } = what;
  if ('blockReason' in what) {
    return { promptFeedback: { blockReason: what.blockReason }, usageMetadata };
  }
  const { parts, finishReason = 'STOP' } = what;
  const content = parts && { parts, role: 'model' };
  return { candidates: [{ content, finishReason, index: 0 }], usageMetadata, modelVersion: MODEL };
}

/** In Google's form, which quotes what it was sent. */
function refuse(
  response: ServerResponse,
  { status, reason, details, headers }: Extract<GeminiAnswer, { status: number }>,
): void {
  const message = `canary-from-google ${API_KEY}`;
  const error = { code: status, message, status: reason, details };
  json(response, status, JSON.stringify({ error }), headers);
}

function json(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Record<string, string> = {},
): void {
  const type = { 'content-type': 'application/json; charset=UTF-8' };
  response.writeHead(status, { ...type, ...headers }).end(body);
}

async function sendInTwo(
  response: ServerResponse,
  { begin, end }: Extract<GeminiAnswer, { begin: Buffer }>,
): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/json' }).write(begin);
  response.end(await end);
}

function sendEndlessly(response: ServerResponse): void {
  const more = Buffer.alloc(1024 * 1024, 'A');
  response.writeHead(200, { 'content-type': 'application/json' });
  response.write('{"candidates":[{"content":{"parts":[{"inlineData":{"data":"');
  const send = () => {
    while (!response.destroyed && response.write(more));
  };
  response.on('drain', send);
  send();
}
