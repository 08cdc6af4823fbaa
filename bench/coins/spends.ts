/** What both sides are told: a process that spends, one coin at a time. */
export interface SpendSetting {
  /** The folder with the build of the product. */
  build: string;
  /** The environment of the product. */
  variables: Record<string, string>;
}

export interface SpendTask {
  /** Whose coins, in turns. */
  userIds: readonly string[];
  lanes: number;
  seconds: number;
}

export interface SpendResult {
  spends: number;
  seconds: number;
}

/** Spends in so many lanes until the time is over. */
export async function spendFor(
  { userIds, lanes, seconds }: SpendTask,
  spend: (userId: string) => Promise<unknown>,
): Promise<SpendResult> {
  const startedAt = performance.now();
  const end = startedAt + seconds * 1_000;
  let spends = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() < end) {
      const userId = userIds[spends % userIds.length] ?? '';
      spends += 1;
      await spend(userId);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return { spends, seconds: (performance.now() - startedAt) / 1_000 };
}

/** Answers tasks for as long as the bench asks, once `begin` has made a way to spend. */
export function answerTasks(
  begin: (setting: SpendSetting) => Promise<(userId: string) => Promise<unknown>>,
): void {
  process.on('disconnect', () => process.exit());
  process.once('message', (setting: SpendSetting) => {
    void begin(setting).then((spend) => {
      process.on('message', (task: SpendTask) => {
        void spendFor(task, spend).then((result) => process.send?.(result));
      });
      process.send?.('ready');
    });
  });
}
