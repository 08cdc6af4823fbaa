import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '../../src/core/ids.js';
import { branch, oneOf, type Random } from '../random.js';

/** How often a client sends a request again before it turns to another one. */
const PATIENCE = 10;
const AGAIN_AFTER_MS = 150;
const REQUEST_TIMEOUT_MS = 20_000;
/** That somebody else has the key is no answer, and nor is that the server cannot. */
const NO_ANSWER = [409, 503];

/** A request for pictures, which is the same however often it is sent. */
interface PictureRequest {
  readonly token: string;
  readonly key: string;
  readonly body: string;
  /** The last answer that was one; undefined as long as there was none. */
  status?: number;
  /** What it was told to have begun: one, or something is wrong. */
  readonly generationIds: Set<string>;
}

/**
 * Clients of a product that may be away at any moment. They ask for pictures with a key, and again when
 * they do not hear; cancel some, and delete some of the images.
 */
export class PictureClients {
  readonly requests: PictureRequest[] = [];
  /** All images that were told of. */
  readonly imageIds = new Set<string>();
  /** Those that may have been deleted. */
  readonly deletedIds = new Set<string>();
  private isOver = false;
  private lanes: Promise<void>[] = [];

  constructor(
    private readonly url: string,
    private readonly tokens: readonly string[],
    private readonly random: Random,
  ) {}

  /** Begins to ask, so many at once. */
  begin(lanes: number): void {
    this.isOver = false;
    this.lanes = Array.from({ length: lanes }, () => this.ask(branch(this.random)));
  }

  async end(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.lanes);
  }

  /** Those that were taken. */
  get accepted(): PictureRequest[] {
    return this.requests.filter(({ status }) => status === 201 || status === 202);
  }

  /** Sends everything again that was not refused, also what has been answered: the key makes it harmless. */
  async sendAllAgain(): Promise<void> {
    for (const request of this.requests) {
      if (request.status === 402) continue;
      delete request.status;
      await this.insist(request, 10 * PATIENCE);
    }
  }

  private async ask(random: Random): Promise<void> {
    while (!this.isOver) {
      const request = this.next(random);
      this.requests.push(request);
      await this.insist(request, PATIENCE, random(4) === 0 ? 3 : 0);
      const [id] = request.generationIds;
      if (id !== undefined) await this.goOn(request, id, random);
      await sleep(random(100));
    }
  }

  private next(random: Random): PictureRequest {
    const token = this.tokens[random(this.tokens.length)] ?? '';
    const prompt = `Hills, number ${this.requests.length}`;
    const body = JSON.stringify({ prompt, count: 1 + random(3) });
    return { token, key: newId(), body, generationIds: new Set() };
  }

  /** What the owner of a generation may do, at any time. */
  private async goOn({ token }: PictureRequest, id: string, random: Random): Promise<void> {
    const act = oneOf(random, ['cancel', 'delete', 'wait', 'wait', 'wait']);
    if (act === 'wait') return;
    await sleep(random(400));
    if (act === 'cancel') {
      await this.send(token, 'DELETE', `generations/${id}`);
      return;
    }
    const shown = await this.send(token, 'GET', `generations/${id}`);
    const [imageId] = shown?.imageIds ?? [];
    if (imageId === undefined) return;
    this.deletedIds.add(imageId);
    await this.send(token, 'DELETE', `images/${imageId}`);
  }

  private async insist(request: PictureRequest, times: number, waitSeconds = 0): Promise<void> {
    const { token, key, body } = request;
    const path = `images/generate?wait=${waitSeconds}`;
    for (let sent = 0; sent < times && request.status === undefined; sent += 1) {
      if (sent > 0) await sleep(AGAIN_AFTER_MS);
      const answer = await this.send(token, 'POST', path, { key, body });
      if (!answer || NO_ANSWER.includes(answer.status)) continue;
      request.status = answer.status;
      if (answer.generationId !== undefined) request.generationIds.add(answer.generationId);
      for (const imageId of answer.imageIds) this.imageIds.add(imageId);
    }
  }

  /** @returns undefined when the connection broke */
  private async send(
    token: string,
    method: string,
    path: string,
    { key, body }: { key?: string; body?: string } = {},
  ) {
    try {
      const answer = await fetch(`${this.url}/api/v1/${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(key !== undefined && { 'idempotency-key': key }),
        },
        ...(body !== undefined && { body }),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      const text = await answer.text();
      const told = text === '' ? {} : JSON.parse(text);
      const generation = told.generation ?? told;
      const imageIds: string[] = generation.imageIds ?? [];
      return {
        status: answer.status,
        generationId: told.generation?.id as string | undefined,
        imageIds,
      };
    } catch {
      return undefined;
    }
  }
}
