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
  private readonly prepared = new WeakSet<ListenClient>();

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
    if (!this.prepared.has(client)) {
      this.prepared.add(client);
      (client as unknown as NodeJS.EventEmitter).setMaxListeners(0);
      takeTurns(client);
    }
    return client;
  }

  /** Of one queue: the others go on. */
  override async close(): Promise<void> {}
}

type ListenClient = Awaited<ReturnType<PostgresConnection['getListenClient']>>;

/** Every worker says LISTEN for itself, and pg wants one statement of a client at a time. */
function takeTurns(client: ListenClient): void {
  const query = client.query.bind(client);
  let last: Promise<unknown> = Promise.resolve();
  client.query = ((...statement: Parameters<ListenClient['query']>) => {
    const turn = last.catch(() => undefined).then(() => query(...statement));
    last = turn;
    return turn;
  }) as ListenClient['query'];
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
