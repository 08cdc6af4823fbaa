import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CannotStart } from '../core/process/cannot-start.js';
import { Backoff } from './backoff.js';
import { ProcessRecord, signal } from './processes.js';
import { printLine, printLines } from './terminal.js';

/** A Node program of this product. */
export interface Program {
  readonly name: string;
  /** The module that is run. */
  readonly entry: string;
  readonly env: NodeJS.ProcessEnv;
}

export interface SupervisorOptions {
  /** Where the running children are recorded. */
  readonly dataDir: string;
  /** How long a child may take to end after SIGTERM, in milliseconds. */
  readonly stopPatienceMs: number;
}

/** For the last lines of a child, whose pipe may be held open by something that it started. */
const LAST_WORDS_MS = 200;

/**
 * Runs the product's processes: writes out their lines under their names, restarts what crashes,
 * and ends them all.
 *
 * Each child has a process group of its own, so that Ctrl-C reaches only us and the order of
 * stopping is ours, and an IPC channel, whose end tells it that we are gone.
 */
export class Supervisor {
  /** Rejects when a program that is kept running ends before {@link settle}. */
  readonly startFailure: Promise<never>;

  private readonly ends = new Map<ChildProcess, Promise<string>>();
  private readonly record: ProcessRecord;
  private readonly stopping = new AbortController();
  private isSettled = false;
  private failStart: (reason: CannotStart) => void;

  constructor(private readonly options: SupervisorOptions) {
    this.record = new ProcessRecord(join(options.dataDir, 'processes.json'));
    this.startFailure = new Promise<never>((_, reject) => (this.failStart = reject));
    this.startFailure.catch(() => undefined); // nobody need be waiting
  }

  /** Ends the children of a predecessor that was killed: they may hold our port. */
  async killLeftovers(): Promise<void> {
    for (const name of await this.record.killLeftovers()) {
      printLine('atelier', `ended the process ${name} that an earlier start had left`);
    }
  }

  /** Runs a program that does its work and ends. @throws CannotStart unless it ends well */
  async runToEnd(program: Program): Promise<void> {
    const end = await this.spawn(program);
    if (end !== 'exit code 0') throw new CannotStart(`${program.name} failed (${end}).`);
  }

  /** Runs a program for as long as we run. */
  keepRunning(program: Program): void {
    void this.runAgainAndAgain(program);
  }

  /** From now on a crash is repaired; until now it meant that the start had failed. */
  settle(): void {
    this.isSettled = true;
  }

  /** Asks all children to end, kills those that do not, and returns when none is left. */
  async stop(): Promise<void> {
    this.stopping.abort();
    const allEnded = Promise.all(this.ends.values());
    for (const child of this.ends.keys()) child.kill('SIGTERM');
    await Promise.race([allEnded, delay(this.options.stopPatienceMs, undefined, { ref: false })]);
    this.kill();
    await allEnded;
  }

  /** Kills all children, with the processes that they started. */
  kill(): void {
    this.stopping.abort();
    for (const { pid } of this.ends.keys()) if (pid !== undefined) signal(-pid, 'SIGKILL');
  }

  private async runAgainAndAgain(program: Program): Promise<void> {
    const backoff = new Backoff();
    for (;;) {
      const end = await this.spawn(program);
      if (this.stopping.signal.aborted) return;
      if (!this.isSettled) {
        this.failStart(new CannotStart(`${program.name} ended during the start (${end}).`));
        return;
      }
      printLine('atelier', `${program.name} ended (${end}) and will be started again`);
      if (!(await backoff.pause(this.stopping.signal))) return;
    }
  }

  /** @returns how it ended */
  private async spawn(program: Program): Promise<string> {
    if (this.stopping.signal.aborted) return 'not started';
    const child = spawn(process.execPath, ['--enable-source-maps', program.entry], {
      env: program.env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    if (child.pid === undefined) {
      const [error] = (await once(child, 'error')) as [Error];
      return error.message;
    }
    const end = this.attend(child, child.pid, program.name);
    this.ends.set(child, end);
    return end;
  }

  private async attend(child: ChildProcess, pid: number, name: string): Promise<string> {
    const closed = once(child, 'close');
    const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    this.record.add(name, pid);
    if (child.stdout) printLines(name, child.stdout, process.stdout);
    if (child.stderr) printLines(name, child.stderr, process.stderr);
    const [code, signalName] = await exit;
    signal(-pid, 'SIGKILL'); // what it started and did not end
    await Promise.race([closed, delay(LAST_WORDS_MS)]);
    this.ends.delete(child);
    this.record.remove(pid);
    return signalName ?? `exit code ${code ?? 'unknown'}`;
  }
}
