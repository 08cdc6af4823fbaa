import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

/** One way to hold a connection. */
export interface SlowWay {
  name: string;
  /** What each of them sends first, in base64. */
  starts: string[];
  /** What each sends every two seconds after that; nothing when empty. */
  again: string;
  /** Whether it reads what comes. */
  reads: boolean;
}

/** How long the connections of each way lasted, in milliseconds. Who does not read never knows. */
export type Lasted = Record<string, { opened: number; closed: number; longest: number }>;

/** Hostile clients in a process of their own. */
export class SlowClients {
  private constructor(private readonly child: ChildProcess) {}

  static async start(): Promise<SlowClients> {
    const child = fork(new URL('./slow-clients.child.ts', import.meta.url));
    await once(child, 'message');
    return new SlowClients(child);
  }

  /** Opens all connections, a few at a time, and tells when they are open. */
  async hold(port: number, ways: SlowWay[]): Promise<void> {
    const opened = once(this.child, 'message');
    this.child.send({ port, ways });
    await opened;
  }

  /** Tells how long they lasted, and closes those that are left. */
  async end(): Promise<Lasted> {
    const ended = once(this.child, 'message');
    this.child.send('end');
    const [lasted] = (await ended) as [Lasted];
    return lasted;
  }

  close(): void {
    this.child.kill();
  }
}
