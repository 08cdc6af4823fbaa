import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CleanUp } from '../clean-up.ts';
import { HelperProcess } from '../helper-process.ts';
import { cpuMsOfTree } from '../process-usage.ts';
import type { BareResult, BareTask } from './bare-cascade.child.ts';

/** Bare sharp, in a process of its own. */
export class BareCascade {
  private readonly process: HelperProcess;
  private readonly outputFolder: string;

  constructor(folder: string, cleanUp: CleanUp) {
    this.outputFolder = join(folder, 'bare');
    mkdirSync(this.outputFolder, { recursive: true });
    this.process = new HelperProcess(new URL('./bare-cascade.child.ts', import.meta.url));
    cleanUp.add(() => {
      this.process.kill();
    });
  }

  /** Makes the variants of each file. */
  async run(task: Omit<BareTask, 'outputFolder'>): Promise<BareResult & { cpuMs: number }> {
    const cpuBefore = this.cpuMs;
    this.process.send({ ...task, outputFolder: this.outputFolder });
    const result = (await this.process.nextMessage()) as BareResult;
    return { ...result, cpuMs: this.cpuMs - cpuBefore };
  }

  private get cpuMs(): number {
    return cpuMsOfTree(this.process.pid);
  }
}
