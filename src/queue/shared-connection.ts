import {
  type BackendFactory,
  PostgresConnection,
  type PostgresConnectionOptions,
  PostgresQueueBackend,
} from 'bullmq';

/**
 * One pool for all queues of a process, and one LISTEN connection for all its workers.
 *
 * BullMQ would open both anew for each queue and each worker, so that every new kind of job would
 * cost each process more connections. It is closed when the last of its queues is.
 */
export class SharedConnection extends PostgresConnection {
  private users = 0;

  constructor(connection: PostgresConnectionOptions) {
    super(connection);
    // Each queue and each waiting worker adds its own listeners.
    this.setMaxListeners(0);
  }

  join(): void {
    this.users += 1;
  }

  async leave(): Promise<void> {
    this.users -= 1;
    if (this.users === 0) await super.close();
  }

  override async getListenClient() {
    const client = await super.getListenClient();
    (client as unknown as NodeJS.EventEmitter).setMaxListeners(0);
    return client;
  }

  /** Of one queue: the others go on. */
  override async close(): Promise<void> {}
}

/** The backend of one queue or worker. */
class SharingBackend extends PostgresQueueBackend {
  private left: Promise<void> | undefined;

  constructor(
    private readonly shared: SharedConnection,
    ...[name, options]: Parameters<BackendFactory<PostgresQueueBackend, PostgresConnectionOptions>>
  ) {
    super(shared, name, options, true);
    shared.join();
  }

  override async close(force?: boolean): Promise<void> {
    await super.close(force);
    await (this.left ??= this.shared.leave());
  }
}

/** Makes backends for queues whose `connection` is a {@link SharedConnection}. */
export const createSharingBackend: BackendFactory<
  PostgresQueueBackend,
  PostgresConnectionOptions
> = (name, options, more) =>
  new SharingBackend(options.connection as unknown as SharedConnection, name, options, more);
