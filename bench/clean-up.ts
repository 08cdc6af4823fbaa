type Step = () => unknown;

const STOP_SIGNALS: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** What must be undone at the end, however the end comes: the last thing made goes first. */
export class CleanUp {
  private readonly steps: Step[] = [];
  private running: Promise<void> | undefined;

  /** Registers a step; after the end has begun it is too late, and an error. */
  add(step: Step): void {
    if (this.running) throw new Error('The bench is being stopped.');
    this.steps.push(step);
  }

  /** Takes all steps, once; one that fails is told and holds up no other. */
  run(): Promise<void> {
    this.running ??= this.undo();
    return this.running;
  }

  /** Runs at a signal, too, and ends the process. */
  runOnSignal(): void {
    for (const signal of STOP_SIGNALS) {
      process.on(signal, () => {
        if (this.running) return;
        console.error(`${signal}: cleaning up.`);
        void this.run().then(() => process.exit(1));
      });
    }
  }

  private async undo(): Promise<void> {
    for (const step of this.steps.reverse()) {
      try {
        await step();
      } catch (error) {
        console.error('Cleaning up:', error);
      }
    }
  }
}
