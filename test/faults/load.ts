import { HelperProcess } from '../../bench/helper-process.js';

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

/**
 * What became of it. Times are in milliseconds, of answers while the machine did not stand still; 0 when
 * there were none.
 */
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
  /** How many of the answers the times are of. */
  timed: number;
  p50: number;
  p99: number;
  longest: number;
}

/** Honest clients in a process of their own, so that nothing that the test does slows them. */
export class LoadProcess {
  private constructor(private readonly process: HelperProcess) {}

  static async start(): Promise<LoadProcess> {
    return new LoadProcess(await HelperProcess.ready(new URL('./load.child.ts', import.meta.url)));
  }

  get pid(): number {
    return this.process.pid;
  }

  begin(load: Load): void {
    this.process.send(load);
  }

  /** Sends nothing more, and waits for all answers. */
  async end(): Promise<LoadReport> {
    const reported = this.process.nextMessage();
    this.process.send('stop');
    return (await reported) as LoadReport;
  }

  close(): void {
    this.process.kill();
  }
}
