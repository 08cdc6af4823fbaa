import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { Connection } from './connection.js';
import { ENV, type Env } from '../env.js';
import { readKernelSockets } from './kernel-sockets.js';
import { missingParts } from './socket-handle.js';
import { stopListening } from './stop-listening.js';
import { trustedProxies } from './trusted-proxies.js';

/** How often the pace of all connections is looked at, in milliseconds. */
const SWEEP_MS = 500;
/** The same while the process is on its way out. */
const DRAIN_SWEEP_MS = 50;
/** How long the kernel is left alone after it was asked, as a multiple of what that took. */
const KERNEL_REST = 10;
/**
 * The longest such rest, in milliseconds. A slow reader is noticed by one look and cut by another, so
 * that each of them may be late: it has to be gone in time on a busy machine, too.
 */
const KERNEL_REST_MAX_MS = 1_000;
/**
 * How long nothing may have come on a connection that is closed while the process is on its way
 * out, in milliseconds. One that is in use is used before, and is closed by the answer.
 */
const QUIET_MS = 3_000;
/** Below this part of MAX_CONNECTIONS there is room again, and the next time it is full is another. */
const ROOM = 0.9;

/**
 * The connections of this process: none is held by a client that is too slow, none has more than a
 * few requests in it, and each is closed without loss when the process leaves.
 */
@Injectable()
export class Connections {
  private readonly logger = new Logger(Connections.name);
  private readonly open = new Map<Socket, Connection>();
  private readonly isProxy: (address: string | undefined) => boolean;
  private server: Server | undefined;
  private accepted = 0;
  private isFull = false;
  private isLeaving = false;
  /** When the kernel may be asked again. */
  private askAt = 0;

  constructor(@Inject(ENV) private readonly env: Env) {
    this.isProxy = trustedProxies(env);
  }

  /** How many there are. */
  get count(): number {
    return this.open.size;
  }

  /** Watches all connections of a server, from before it listens until it is closed. */
  watch(server: Server): void {
    this.server = server;
    server.maxConnections = this.env.MAX_CONNECTIONS;
    server.once('listening', () => {
      this.reportMissing(missingParts(server));
    });
    server.on('connection', (socket) => {
      this.add(socket);
    });
    server.on('drop', () => {
      this.reportFull();
    });
    // Before the framework, which makes more of a request than this.
    server.prependListener('request', (request, response) => {
      this.open.get(request.socket)?.begin(request, response);
    });
    // Before the framework, too, whose own word must not fall into an answer.
    server.prependListener('clientError', (_error, socket) => {
      if (socket instanceof Socket && this.open.get(socket)?.isAnswering) socket.destroy();
    });
    const sweep = setInterval(() => {
      this.sweep();
    }, SWEEP_MS).unref();
    server.once('close', () => {
      clearInterval(sweep);
    });
  }

  /**
   * Lets a request go on once those before it on its connection are answered. One that comes on a
   * connection which was cut never does.
   */
  inTurn({ socket }: IncomingMessage, response: ServerResponse, proceed: () => void): void {
    const connection = this.open.get(socket);
    if (connection) connection.inTurn(response, proceed);
    // Of a server that is not watched, such as one that a test calls without a socket.
    else if (!socket.destroyed) proceed();
  }

  /** Whether a request on a connection is not answered yet. */
  isInUse(socket: Duplex): boolean {
    return socket instanceof Socket && this.open.get(socket)?.isIdle === false;
  }

  /**
   * Whether the answer to a request is to end its connection: the process takes no new ones and
   * waits for the end of this, nothing more of the request is coming, and no other has come behind.
   */
  isLastOn(request: IncomingMessage): boolean {
    return this.isLeaving && request.complete && this.open.get(request.socket)?.requests === 1;
  }

  /**
   * Takes no new connection, and waits until all that were taken are closed: by their next answer,
   * which says so, or once they have been quiet for a while. So no request is lost that was sent on
   * one of them, and who comes back is refused. What is left when time is up is cut.
   *
   * @param patienceMs in milliseconds
   */
  async drain(patienceMs: number): Promise<void> {
    const deadline = performance.now() + patienceMs;
    if (this.server?.listening) await stopListening(this.server, patienceMs / 2);
    this.isLeaving = true;
    this.logger.log({ accepted: this.accepted, msg: 'Taking no new connections' });
    while (this.open.size > 0 && performance.now() < deadline) {
      for (const connection of this.open.values()) connection.leave(QUIET_MS);
      await delay(DRAIN_SWEEP_MS);
    }
    if (this.open.size > 0) this.logger.warn({ count: this.open.size, msg: 'Cutting connections' });
    for (const socket of this.open.keys()) socket.destroy();
  }

  private add(socket: Socket): void {
    this.accepted += 1;
    // It has no address when it is gone already.
    const isProxy = this.isProxy(socket.remoteAddress);
    this.open.set(socket, new Connection(socket, isProxy, this.env));
    socket.once('close', () => {
      this.open.delete(socket);
      if (this.open.size < this.env.MAX_CONNECTIONS * ROOM) this.isFull = false;
    });
  }

  private sweep(): void {
    const now = performance.now();
    const all = [...this.open.values()];
    this.reportCut(all.filter((connection) => connection.cutIfTooSlow(now)).length);
    const awaited = all.filter((connection) => connection.looksForReader(now));
    if (awaited.length > 0 && now >= this.askAt) void this.sweepReaders(awaited, now);
  }

  private async sweepReaders(awaited: Connection[], now: number): Promise<void> {
    this.askAt = Infinity;
    const sockets = await readKernelSockets();
    this.reportCut(awaited.filter((connection) => connection.cutIfReadsTooSlowly(sockets)).length);
    const over = performance.now();
    this.askAt = over + Math.min((over - now) * KERNEL_REST, KERNEL_REST_MAX_MS);
  }

  private reportMissing(missing: string[]): void {
    if (missing.length === 0) return;
    const msg = 'This Node may not tell slow readers: they are kept, and a stop may lose requests';
    this.logger.warn({ missing, node: process.version, msg });
  }

  private reportCut(cut: number): void {
    if (cut > 0) this.logger.debug({ cut, msg: 'Cut connections of slow clients' });
  }

  /** Tells it once, and again when there has been room in between. */
  private reportFull(): void {
    if (this.isFull) return;
    this.isFull = true;
    this.logger.warn({ count: this.open.size, msg: 'MAX_CONNECTIONS: refusing new connections' });
  }
}
