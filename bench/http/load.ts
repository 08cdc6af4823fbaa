import type { CleanUp } from '../clean-up.ts';
import { HelperProcess } from '../helper-process.ts';
import type { LoadResult, LoadTask } from './load.child.ts';

/** Many clients at once, each with one connection on which it asks again and again. */
export class Load {
  private readonly process: HelperProcess;

  constructor(cleanUp: CleanUp) {
    this.process = new HelperProcess(new URL('./load.child.ts', import.meta.url));
    cleanUp.add(() => {
      this.process.kill();
    });
  }

  /** @throws Error when an answer has another status than the task names */
  async run(task: LoadTask): Promise<LoadResult> {
    this.process.send(task);
    const { result, error } = (await this.process.nextMessage()) as {
      result?: LoadResult;
      error?: string;
    };
    if (result) return result;
    throw new Error(`${task.url}: ${error ?? 'no result'}`);
  }
}
