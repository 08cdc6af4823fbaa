import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

/** What honest clients do: lists, every fifth time a file, every fortieth an upload. */
export interface Load {
  url: string;
  perSecond: number;
  /** Whether connections are used again. */
  keepAlive: boolean;
  token: string;
  /** A file to fetch; without one it is lists. */
  filePath?: string;
  /** A picture to upload, in base64; without one nothing is uploaded. */
  upload?: string;
}

/** What became of it. Times are in milliseconds. */
export interface LoadReport {
  sent: number;
  /** How many connections were made. */
  connected: number;
  /** With 2xx. */
  answered: number;
  /** Nobody listened: no request was sent. */
  refused: number;
  /** All else, by what happened to it. */
  dropped: Record<string, number>;
  p50: number;
  p99: number;
  longest: number;
}

/** Honest clients in a process of their own, so that nothing that the test does slows them. */
export class LoadProcess {
  private constructor(private readonly child: ChildProcess) {}

  static async start(): Promise<LoadProcess> {
    const child = fork(new URL('./load.child.ts', import.meta.url));
    await once(child, 'message');
    return new LoadProcess(child);
  }

  begin(load: Load): void {
    this.child.send(load);
  }

  /** Sends nothing more, and waits for all answers. */
  async end(): Promise<LoadReport> {
    const reported = once(this.child, 'message');
    this.child.send('stop');
    const [report] = (await reported) as [LoadReport];
    return report;
  }

  close(): void {
    this.child.kill();
  }
}
