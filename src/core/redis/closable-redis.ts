import { Cluster, Redis, type RedisOptions } from 'ioredis';

/**
 * A client that can be closed in any state. ioredis 5.11 tells nobody that a client has ended which
 * rested between two attempts to connect, so that a process that stops while Redis is away would
 * wait for that until its time is up.
 */
export class ClosableRedis extends Redis {
  constructor(options: RedisOptions) {
    super(options);
    // The timer would end the next connection, and keep a process from ending.
    this.on('close', () => {
      clearTimeout(Reflect.get(this, 'socketTimeoutTimer'));
      Reflect.set(this, 'socketTimeoutTimer', undefined);
    });
  }

  override disconnect(reconnect = false): void {
    if (!reconnect && this.status === 'reconnecting') this.status = 'wait';
    super.disconnect(reconnect);
  }

  /** A connection that is not there needs no farewell. */
  override sendCommand(...[command, stream]: Parameters<Redis['sendCommand']>): unknown {
    if (command.name !== 'quit' || this.status === 'ready') {
      return super.sendCommand(command, stream);
    }
    this.disconnect();
    command.resolve('OK');
    return command.promise;
  }
}

/**
 * As {@link ClosableRedis}. The rest of that is of no need here: a Cluster says farewell to its nodes
 * alone, of which it has none while it is away, and connects no client of a node a second time.
 */
export class ClosableCluster extends Cluster {
  override disconnect(reconnect = false): void {
    if (!reconnect && this.status === 'reconnecting') this.status = 'wait';
    super.disconnect(reconnect);
  }
}
