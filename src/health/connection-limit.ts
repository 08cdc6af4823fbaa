import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Logger } from '@nestjs/common';

/** Below this part of the limit there is room again, and the next time it is full is another. */
const ROOM = 0.9;

/** How many requests may be on a connection at once. A probe sends none before the last is answered. */
const MAX_REQUESTS = 4;

/**
 * Keeps the connections of a server to a number, and lets everybody in all the same: one too many
 * costs the connection that has been without a whole request for longest, if there is one on which
 * nothing is being answered.
 *
 * So who opens connections and sends nothing, or not enough, only ever displaces others of the kind:
 * a probe has sent its request long before as many have come after it. And who sends many requests
 * behind each other loses the connection.
 */
export class ConnectionLimit {
  private readonly logger = new Logger('Http');
  /** How many requests are under way on each, those longest without a new one first. */
  private readonly open = new Map<Socket, number>();
  private isFull = false;

  /** @param max how many connections there may be */
  constructor(private readonly max: number) {}

  /** Watches all connections of a server, from before it listens. */
  watch(server: Server): void {
    server.on('connection', (socket) => {
      this.add(socket);
    });
    server.prependListener('request', ({ socket }, response) => {
      this.count(socket, 1);
      response.once('close', () => {
        this.count(socket, -1);
      });
    });
  }

  private add(socket: Socket): void {
    if (this.open.size >= this.max) this.cutOne();
    this.open.set(socket, 0);
    socket.once('close', () => {
      this.open.delete(socket);
      if (this.open.size < this.max * ROOM) this.isFull = false;
    });
  }

  /** Notes that a request has begun or ended. */
  private count(socket: Socket, change: 1 | -1): void {
    const before = this.open.get(socket);
    if (before === undefined) return;
    const requests = before + change;
    this.open.delete(socket);
    this.open.set(socket, requests);
    if (requests > MAX_REQUESTS) socket.resetAndDestroy();
  }

  private cutOne(): void {
    const all = [...this.open];
    const [socket] = all.find(([, requests]) => requests === 0) ?? all[0] ?? [];
    // Its close comes later, and another connection perhaps before.
    if (socket) this.open.delete(socket);
    socket?.resetAndDestroy();
    if (this.isFull) return;
    this.isFull = true;
    this.logger.warn({ max: this.max, msg: 'Cutting idle connections to let others in' });
  }
}
