import { randomBytes } from 'node:crypto';
import type { CleanUp } from './clean-up.ts';
import { fillLedger, makeAccounts } from './coins/accounts.ts';
import type { SpendResult, SpendSetting, SpendTask } from './coins/spends.ts';
import { HelperProcess } from './helper-process.ts';
import { Product } from './product.ts';
import { MemoryWatch, requireProc, residentBytes } from './process-usage.ts';
import { FIGURE_COLUMNS, figureRow, MEBIBYTE, type Table } from './report.ts';
import type { BenchOptions } from './run.ts';
import { ratios, spreadOf } from './statistics.ts';

const FULL = { rounds: 10, seconds: 5, proofs: 3, transfers: 1_000_000 };
const QUICK: typeof FULL = { rounds: 3, seconds: 2, proofs: 1, transfers: 100_000 };

const ACCOUNTS = 1_000;
const LANES = 32;
const WARM_UP_SECONDS = 3;
const GOAL = { atLeast: 0.8 };
const SIDES = {
  product: new URL('./coins/product.child.ts', import.meta.url),
  bare: new URL('./coins/bare.child.ts', import.meta.url),
};
const ADMIN_TOKEN = randomBytes(48).toString('base64url');

type Side = keyof typeof SIDES;
type Plan = typeof FULL;

/** What it costs to spend coins, and to prove that none was lost or made. */
export async function* measureCoins({ quick, cleanUp }: BenchOptions): AsyncGenerator<Table> {
  requireProc();
  const plan = quick ? QUICK : FULL;
  const product = await Product.start(cleanUp, { ADMIN_TOKEN, DATABASE_POOL_SIZE: String(LANES) });
  await product.worker.stop();
  const { MIGRATION_DATABASE_URL: owner = '' } = product.setting.variables;
  const userIds = await makeAccounts(owner, ACCOUNTS);
  yield await measureSpends(product, userIds, plan, cleanUp);
  yield await measureProof(product, await fillLedger(owner, userIds, plan.transfers), plan);
}

async function measureSpends(
  product: Product,
  userIds: string[],
  { rounds, seconds }: Plan,
  cleanUp: CleanUp,
): Promise<Table> {
  const setting: SpendSetting = product.setting;
  const children = {
    product: await startSide('product', setting, cleanUp),
    bare: await startSide('bare', setting, cleanUp),
  };
  const whose = { 'one account': userIds.slice(0, 1), [`${ACCOUNTS} accounts`]: userIds };
  const rows: string[][] = [];
  for (const [name, ids] of Object.entries(whose)) {
    const perSecond: Record<Side, number[]> = { product: [], bare: [] };
    const spend = async (side: Side, forSeconds: number): Promise<number> => {
      const task: SpendTask = { userIds: ids, lanes: LANES, seconds: forSeconds };
      children[side].send(task);
      const result = (await children[side].nextMessage()) as SpendResult;
      return result.spends / result.seconds;
    };
    const order = ['product', 'bare'] as const;
    for (const side of order) await spend(side, WARM_UP_SECONDS);
    for (let round = 0; round < rounds; round += 1) {
      for (const side of round % 2 === 0 ? order : order.toReversed()) {
        perSecond[side].push(await spend(side, seconds));
      }
    }
    rows.push(
      ...order.map((side) =>
        figureRow({
          name: `${name}: spends, ${side}`,
          spread: spreadOf(perSecond[side]),
          unit: '/s',
        }),
      ),
      figureRow({
        name: `${name}: spends, product : bare`,
        spread: spreadOf(ratios(perSecond.product, perSecond.bare)),
        digits: 2,
        goal: GOAL,
      }),
    );
  }
  return {
    title: 'Spending coins',
    note: [
      `Rounds: ${rounds} of ${seconds} s for each side, with ${LANES} connections, on one account and over ${ACCOUNTS} in turns, one coin at a time. Product: \`Coins.spend\`, each a transaction of its own that is durable when it returns.`,
      'Bare: a process with `pg` that sends the best statement doing the same, prepared: the conditional update of the account and the entry in the ledger in one, on the same tables.',
    ].join(' '),
    columns: FIGURE_COLUMNS,
    rows,
  };
}

async function startSide(side: Side, setting: SpendSetting, cleanUp: CleanUp) {
  const child = new HelperProcess(SIDES[side], { variables: { NODE_ENV: 'production' } });
  cleanUp.add(() => {
    child.kill();
  });
  child.send(setting);
  await child.nextMessage();
  return child;
}

async function measureProof(
  { url, api }: Product,
  transfers: number,
  { proofs }: Plan,
): Promise<Table> {
  const seconds: number[] = [];
  const grownBy: number[] = [];
  // Once before: so that what it makes the process load is not counted as its memory.
  await prove(url, transfers);
  for (let each = 0; each < proofs; each += 1) {
    const before = residentBytes(api.pid);
    const watch = new MemoryWatch(() => [api.pid]);
    const startedAt = performance.now();
    await prove(url, transfers);
    seconds.push((performance.now() - startedAt) / 1_000);
    grownBy.push(Math.max(0, watch.stop().peakBytes - before) / MEBIBYTE);
  }
  return {
    title: 'Proving the ledger',
    note: `\`GET /api/v1/admin/ledger/proof\` over all that was spent above, by either side, and what fills it up to ${transfers} transfers. It found no difference, and a sum of 0.`,
    columns: FIGURE_COLUMNS,
    rows: [
      figureRow({ name: 'time', spread: spreadOf(seconds), unit: ' s', digits: 1 }),
      figureRow({ name: 'memory of the API, grown by', spread: spreadOf(grownBy), unit: ' MB' }),
    ],
  };
}

/** @throws Error when a single coin was lost or made */
async function prove(url: string, transfers: number): Promise<void> {
  const answer = await fetch(`${url}/api/v1/admin/ledger/proof`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  });
  const proof = (await answer.json()) as Record<string, unknown>;
  const isSound = proof['differenceCount'] === 0 && proof['sum'] === 0;
  if (!isSound || proof['transfers'] !== transfers) {
    throw new Error(`The ledger is not sound: ${JSON.stringify(proof)}`);
  }
}
