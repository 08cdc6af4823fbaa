import { parseArgs } from 'node:util';
import { BuildFailed } from '../scripts/build.ts';
import { CleanUp } from './clean-up.ts';
import { conditionsNow, presentTable, type Table, writeSection } from './report.ts';

/** What a bench is told. */
export interface BenchOptions {
  /** A short run, to see that everything works: its figures are rough. */
  quick: boolean;
  cleanUp: CleanUp;
}

type Bench = (options: BenchOptions) => AsyncIterable<Table>;

/** Each is loaded only when it is wanted. */
const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  list: async () => (await import('./list.bench.ts')).measureList,
  file: async () => (await import('./file.bench.ts')).measureFile,
  upload: async () => (await import('./upload.bench.ts')).measureUpload,
  start: async () => (await import('./start.bench.ts')).measureStart,
  memory: async () => (await import('./memory.bench.ts')).measureMemory,
  auth: async () => (await import('./auth.bench.ts')).measureAuth,
  coins: async () => (await import('./coins.bench.ts')).measureCoins,
  images: async () => (await import('./images.bench.ts')).measureImages,
};

/** `bench/run.ts [--quick] [--dry] [name …]`: all benches when none is named. */
async function run(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { quick: { type: 'boolean' }, dry: { type: 'boolean' } },
    allowPositionals: true,
  });
  const names = positionals.length > 0 ? positionals : Object.keys(BENCHES);
  for (const name of names) {
    const bench = await BENCHES[name]?.();
    if (!bench) throw new UnknownBench(name);
    const command = `npm run bench -- ${name}${values.quick ? ' --quick' : ''}`;
    await runBench(name, bench, command, values);
  }
}

async function runBench(
  name: string,
  bench: Bench,
  command: string,
  { quick = false, dry = false }: { quick?: boolean; dry?: boolean },
): Promise<void> {
  const conditions = conditionsNow(command);
  const tables: Table[] = [];
  const cleanUp = new CleanUp();
  cleanUp.runOnSignal();
  try {
    for await (const table of bench({ quick, cleanUp })) {
      console.log(presentTable(table));
      tables.push(table);
    }
  } finally {
    await cleanUp.run();
  }
  if (!dry) await writeSection(name, conditions, tables);
}

class UnknownBench extends Error {
  constructor(name: string) {
    super(`There is no bench ${name}; there are: ${Object.keys(BENCHES).join(', ')}.`);
  }
}

try {
  await run();
} catch (error) {
  const isPlain = error instanceof UnknownBench || error instanceof BuildFailed;
  console.error(isPlain ? error.message : error);
  process.exitCode = 1;
}
