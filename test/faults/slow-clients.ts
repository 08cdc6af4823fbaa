import { HelperProcess } from '../../bench/helper-process.js';

/** One way to hold a connection. */
export interface SlowWay {
  name: string;
  /** What each of them sends first, in base64. */
  starts: string[];
  /** What each sends after its start, in base64; the same for all, as it may be large. */
  rest?: string;
  /** What each sends every two seconds after that; nothing when empty. */
  again: string;
  /** What it reads of what comes: `drops` are a few bytes every two seconds. */
  reads: 'all' | 'drops' | 'nothing';
}

/** What is opened: one of each way in turn, so many a second. */
export interface Attack {
  port: number;
  /** Where all of them come from. */
  localAddress: string;
  ways: SlowWay[];
  perSecond: number;
}

/** What became of the connections. */
export interface Lasted {
  /** When each was opened, in milliseconds since 1970. */
  openedAt: number[];
  /** How long those of each way lasted, in milliseconds. Who does not read all never knows. */
  ways: Record<string, { opened: number; closed: number; longest: number }>;
}

/** Hostile clients in a process of their own. */
export class SlowClients {
  private constructor(private readonly process: HelperProcess) {}

  static async start(): Promise<SlowClients> {
    const file = new URL('./slow-clients.child.ts', import.meta.url);
    return new SlowClients(await HelperProcess.ready(file));
  }

  /** Opens all connections and tells when they are open. */
  async hold(attack: Attack): Promise<void> {
    const opened = this.process.nextMessage();
    this.process.send(attack);
    await opened;
  }

  /** Waits for those that read to be closed, tells how long all lasted, and closes what is left. */
  async end(): Promise<Lasted> {
    const ended = this.process.nextMessage();
    this.process.send('end');
    return (await ended) as Lasted;
  }

  close(): void {
    this.process.kill();
  }
}
