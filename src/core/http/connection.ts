import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Env } from '../env.js';
import { inodeOf, type KernelSockets } from './kernel-sockets.js';
import { handleOf } from './socket-handle.js';

/**
 * The least that has to move within each time limit, in bytes, up or down: half a kilobyte a second
 * at the defaults. The worst mobile networks carry several times as much, with pauses.
 */
export const LEAST_BYTES = 16 * 1024;

/**
 * How many requests may be on a connection at once. Hardly any client sends a second one before the
 * first is answered, and each costs memory from when it was read.
 */
const MAX_REQUESTS = 32;

/**
 * What Node is left to refuse a request that comes too slowly, in milliseconds, before its
 * connection is cut for what has come: it looks once a second.
 */
const GRACE_MS = 1_500;

/** How long the rest of a body may take to come after the last answer, in milliseconds. */
const LINGER_MS = 2_000;

interface PendingRequest {
  request: IncomingMessage;
  response: ServerResponse;
  /** Set while it waits for those before it. */
  proceed?: () => void;
}

/** How many bytes there were, and when. */
interface Progress {
  bytes: number;
  at: number;
}

/** One connection: its requests in order, and whether its client keeps up. */
export class Connection {
  private pending: PendingRequest[] = [];
  /** Known once the kernel was asked. */
  private inode: number | undefined;
  /** When the last answer was complete, or the connection began. */
  private idleSince = performance.now();
  /** How many bytes have come that were in order: of requests, and of their bodies. */
  private expected = 0;
  /** When it was noticed that others have come, although no request has begun. */
  private strayingSince: number | undefined;
  /** A request that was answered before all of its body had come, and when that was. */
  private unfinished: { request: IncomingMessage; since: number } | undefined;
  /** Whether no more answers come, and the rest of a body is waited for. */
  private isLingering = false;
  /** What had gone to the kernel at the last look that found an answer under way, and when that was. */
  private sent: (Progress & { isHeldUp: boolean }) | undefined;
  /** What the reading client had when it last came along as it must, and when that was. */
  private read: Progress | undefined;
  /** What had been received when anything last was, and when that was noticed. */
  private received: Progress = { bytes: 0, at: performance.now() };

  constructor(
    private readonly socket: Socket,
    private readonly isProxy: boolean,
    private readonly env: Pick<Env, 'KEEP_ALIVE_TIMEOUT_MS' | 'REQUEST_TIMEOUT_MS'>,
  ) {
    const close = socket.destroySoon.bind(socket);
    // Which is how Node closes a connection after its last answer.
    socket.destroySoon = () => {
      this.closeGently(close);
    };
  }

  /** How many requests are not answered yet. */
  get requests(): number {
    return this.pending.length;
  }

  get isIdle(): boolean {
    return this.pending.length === 0;
  }

  /** Whether part of an answer has gone out, and the rest has not. */
  get isAnswering(): boolean {
    return this.pending[0]?.response.headersSent ?? false;
  }

  /** Notes a request that has been read. With too many, the connection is cut. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    if (this.socket.destroyed) return;
    if (this.pending.length >= MAX_REQUESTS) {
      this.socket.resetAndDestroy();
      return;
    }
    this.pending.push({ request, response });
    response.once('close', () => {
      this.end(request, response);
    });
  }

  /** Lets a request go on once those before it are answered. */
  inTurn(response: ServerResponse, proceed: () => void): void {
    const index = this.pending.findIndex((each) => each.response === response);
    const own = this.pending[index];
    if (!own || this.socket.destroyed) return;
    if (index === 0) proceed();
    else own.proceed = proceed;
  }

  /**
   * Cuts the connection when a body that nobody wants goes on for too long, or when nothing but empty
   * lines comes.
   *
   * @returns whether it did
   */
  cutIfTooSlow(now: number): boolean {
    const isTooSlow = this.sendsTooLong(now) || this.straysTooLong(now);
    if (isTooSlow) this.socket.resetAndDestroy();
    return isTooSlow;
  }

  /**
   * Notes how far the answers are.
   *
   * @returns whether the client may have to read on: more of them waits for the kernel to take it, or
   *   one has begun, which the kernel takes in as long as it has room
   */
  looksForReader(now: number): boolean {
    const { waiting, bytes } = outgoing(this.socket);
    const isHeldUp = waiting > 0;
    this.sent = isHeldUp || this.isAnswering ? { bytes, at: now, isHeldUp } : undefined;
    if (!this.sent) this.read = undefined;
    return this.sent !== undefined;
  }

  /**
   * Cuts the connection when its client has acknowledged less than it must of what the last look
   * found. A reset, because a close would leave the kernel with megabytes that nobody reads.
   *
   * @param sockets what the kernel said after that look; without it, what the kernel has taken is
   *   all that can be known of what the client has read
   * @returns whether it did
   */
  cutIfReadsTooSlowly(sockets: KernelSockets | undefined): boolean {
    if (!this.sent) return false;
    this.inode ??= inodeOf(this.socket);
    const kept = sockets?.get(this.inode ?? 0)?.unacknowledged ?? 0;
    const { at, isHeldUp } = this.sent;
    // The client has all that there is so far: what the answer waits for is here.
    if (!isHeldUp && kept === 0) {
      this.read = undefined;
      return false;
    }
    const bytes = this.sent.bytes - kept;
    if (!this.read || bytes - this.read.bytes >= LEAST_BYTES) this.read = { bytes, at };
    const isTooSlow = at - this.read.at > this.env.REQUEST_TIMEOUT_MS;
    if (isTooSlow) this.socket.resetAndDestroy();
    return isTooSlow;
  }

  /** Closes the connection, unless a request is on it, or was on it a moment ago. */
  leave(quietMs: number): void {
    const now = performance.now();
    if (this.socket.bytesRead !== this.received.bytes) {
      this.received = { bytes: this.socket.bytesRead, at: now };
    }
    const isQuiet = now - Math.max(this.idleSince, this.received.at) >= quietMs;
    // The rest of a body that was refused is no life: who sends it could hold up the process.
    if (this.isIdle && (isQuiet || this.isLeftUnfinished)) this.socket.destroySoon();
  }

  /**
   * Says that no more answers come, and waits for the rest of a body before it closes. A connection
   * that is closed while bytes come is reset, and the client may lose the answer that it has yet to
   * read (RFC 9112 section 9.6).
   */
  private closeGently(close: () => void): void {
    if (this.isLingering) return;
    const request = this.pending[0]?.request ?? this.unfinished?.request;
    if (!request || request.complete || request.destroyed) {
      close();
      return;
    }
    this.isLingering = true;
    this.socket.end();
    const timer = setTimeout(close, LINGER_MS);
    request.once('close', () => {
      clearTimeout(timer);
      close();
    });
    request.resume();
  }

  private end(request: IncomingMessage, response: ServerResponse): void {
    this.pending = this.pending.filter((each) => each.response !== response);
    const now = performance.now();
    if (!request.complete) this.unfinished = { request, since: now };
    this.idleSince = now;
    this.expectNothing();
    // Node has just set the time that everybody else gets.
    if (this.isIdle && this.isProxy) this.socket.setTimeout(this.env.KEEP_ALIVE_TIMEOUT_MS);
    const next = this.pending[0];
    const proceed = next?.proceed;
    if (next) delete next.proceed;
    if (!this.socket.destroyed) proceed?.();
  }

  /** Whether the last request was answered, and its body goes on. */
  private get isLeftUnfinished(): boolean {
    return this.unfinished !== undefined && !this.unfinished.request.complete;
  }

  /** Whether the rest of a body that nobody waits for any more goes on and on. */
  private sendsTooLong(now: number): boolean {
    if (!this.isLeftUnfinished) this.unfinished = undefined;
    return (
      this.unfinished !== undefined && now - this.unfinished.since > this.env.REQUEST_TIMEOUT_MS
    );
  }

  /**
   * Whether what comes between requests is none for too long. Empty lines are not (RFC 9112 section
   * 2.2), and keep Node's own timers at bay.
   */
  private straysTooLong(now: number): boolean {
    // What comes of a body is of no interest here.
    if (!this.isIdle || this.unfinished) this.expectNothing();
    else if (this.socket.bytesRead > this.expected) this.strayingSince ??= now;
    return this.strayingSince !== undefined && now - this.strayingSince > this.strayLimitMs;
  }

  private get strayLimitMs(): number {
    const { KEEP_ALIVE_TIMEOUT_MS, REQUEST_TIMEOUT_MS } = this.env;
    const ofProxy = Math.max(KEEP_ALIVE_TIMEOUT_MS, REQUEST_TIMEOUT_MS);
    return (this.isProxy ? ofProxy : REQUEST_TIMEOUT_MS) + GRACE_MS;
  }

  /** Whatever comes from now on is the beginning of a request, or should be. */
  private expectNothing(): void {
    this.expected = this.socket.bytesRead;
    this.strayingSince = undefined;
  }
}

/** How many bytes of answers wait for the kernel to take them, and how many it has taken. */
function outgoing(socket: Socket): { waiting: number; bytes: number } {
  const { writeQueueSize: waiting = 0, bytesWritten = 0 } = handleOf(socket) ?? {};
  return { waiting, bytes: bytesWritten - waiting };
}
