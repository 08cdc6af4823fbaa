import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CleanUp } from '../clean-up.ts';
import { cpuMsOfTree } from '../process-usage.ts';
import type { BareResult, BareTask } from './bare-cascade.child.ts';

/** Bare sharp, in a process of its own. */
export class BareCascade {
  private readonly child: ChildProcess;
  private readonly ended: Promise<never>;
  private readonly outputFolder: string;

  constructor(folder: string, cleanUp: CleanUp) {
    this.outputFolder = join(folder, 'bare');
    mkdirSync(this.outputFolder, { recursive: true });
    this.child = fork(join(import.meta.dirname, 'bare-cascade.child.ts'), {
      env: {},
      execArgv: [],
    });
    cleanUp.add(() => this.child.kill('SIGKILL'));
    this.ended = once(this.child, 'exit').then(() => {
      throw new Error('The bare cascade ended.');
    });
    this.ended.catch(() => undefined);
  }

  /** Makes the variants of each file. */
  async run(task: Omit<BareTask, 'outputFolder'>): Promise<BareResult & { cpuMs: number }> {
    const cpuBefore = this.cpuMs;
    this.child.send({ ...task, outputFolder: this.outputFolder });
    const [result] = (await Promise.race([once(this.child, 'message'), this.ended])) as [
      BareResult,
    ];
    return { ...result, cpuMs: this.cpuMs - cpuBefore };
  }

  private get cpuMs(): number {
    return cpuMsOfTree(this.child.pid ?? 0);
  }
}
