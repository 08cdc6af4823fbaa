import { EventEmitter } from 'node:events';
import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { SqlEntityManager } from '@mikro-orm/postgresql';
import pg from 'pg';
import { connectionOptions, directAddress } from './database-url.js';
import { ENV, type Env } from '../env.js';
import { Shutdown } from '../process/shutdown.js';
import { isClientGone } from '../request-context.js';

const CHANNEL = 'row_changes';
const RECONNECT_AFTER_MS = 1_000;
/** A notification can be lost with its connection, so a wait also looks for itself this often. */
const POLL_EVERY_MS = 1_000;

/**
 * Tells waiting requests, and workers, in whatever process that a row has changed: PostgreSQL's NOTIFY
 * sent in the transaction of the change, so that it arrives when the change can be read.
 */
@Injectable()
export class RowChanges implements OnApplicationShutdown {
  private readonly logger = new Logger(RowChanges.name);
  private readonly changes = new EventEmitter().setMaxListeners(0);
  private client: pg.Client | undefined;
  private closed = false;

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly shutdown: Shutdown,
  ) {}

  /** Announces that a row changes with the transaction of `em`. */
  async announce(em: SqlEntityManager, rowId: string): Promise<void> {
    await em.execute('select pg_notify(?, ?)', [CHANNEL, rowId]);
  }

  /**
   * Reads until there is a result, looking again at each change of the row.
   *
   * @param seconds how long to wait at most; 0 reads once
   * @param pollMs how often to look without having heard of a change, in milliseconds
   * @returns the result, or undefined when time is up, the client is gone, which is noticed when it
   *   looks, or the process is shutting down
   */
  async waitFor<T>(
    rowId: string,
    seconds: number,
    read: () => Promise<T | undefined>,
    pollMs = POLL_EVERY_MS,
  ): Promise<T | undefined> {
    if (seconds > 0) this.listen();
    const deadline = performance.now() + seconds * 1_000;
    for (;;) {
      const change = this.nextChange(rowId);
      try {
        const result = await read();
        const remaining = deadline - performance.now();
        if (result !== undefined || remaining <= 0) return result;
        if (this.shutdown.begun || isClientGone()) return undefined;
        await change.within(Math.min(remaining, pollMs));
      } finally {
        change.forget();
      }
    }
  }

  /**
   * Tells of each change of a row from now on. One may be missed with a broken connection, so whoever
   * follows looks for itself as well.
   *
   * @returns what ends it
   */
  follow(rowId: string, listener: () => void): () => void {
    this.listen();
    this.changes.on(rowId, listener);
    return () => this.changes.off(rowId, listener);
  }

  async onApplicationShutdown(): Promise<void> {
    this.closed = true;
    await this.client?.end().catch(() => undefined);
  }

  /** Subscribes before the caller reads, so that no change falls between the two. */
  private nextChange(rowId: string) {
    let wake = (): void => undefined;
    const happened = new Promise<void>((resolve) => {
      wake = resolve;
    });
    let timer: NodeJS.Timeout | undefined;
    this.changes.once(rowId, wake);
    this.shutdown.signal.addEventListener('abort', wake);
    return {
      within: (milliseconds: number) => {
        timer = setTimeout(wake, milliseconds);
        return happened;
      },
      forget: () => {
        clearTimeout(timer);
        this.changes.off(rowId, wake);
        this.shutdown.signal.removeEventListener('abort', wake);
      },
    };
  }

  /** Opens the one LISTEN connection of this process, and opens it again when it breaks. */
  private listen(): void {
    if (this.client || this.closed) return;
    const client = new pg.Client({
      ...connectionOptions(directAddress(this.env).url),
      application_name: 'atelier-listen',
      connectionTimeoutMillis: this.env.DATABASE_POOL_TIMEOUT_MS,
      keepAlive: true,
    });
    this.client = client;
    client.on('notification', ({ payload }) => this.changes.emit(payload ?? ''));
    client.on('error', (error) => {
      this.reconnectLater(client, error);
    });
    client.on('end', () => {
      this.reconnectLater(client);
    });
    client
      .connect()
      .then(() => client.query(`LISTEN ${CHANNEL}`))
      .catch((error: unknown) => {
        this.reconnectLater(client, error);
      });
  }

  private reconnectLater(client: pg.Client, error?: unknown): void {
    if (this.client !== client || this.closed) return;
    this.logger.warn({
      err: error,
      msg: 'The LISTEN connection broke; waits poll until it is back',
    });
    this.client = undefined;
    void client.end().catch(() => undefined);
    setTimeout(() => {
      this.listen();
    }, RECONNECT_AFTER_MS).unref();
  }
}
