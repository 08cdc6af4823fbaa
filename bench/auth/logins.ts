import { availableParallelism } from 'node:os';
import type { CleanUp } from '../clean-up.ts';
import { HelperProcess } from '../helper-process.ts';
import type { Load } from '../http/load.ts';
import { inFlight } from '../in-flight.ts';
import type { Product } from '../product.ts';
import { cpuMsOfTree } from '../process-usage.ts';
import { FIGURE_COLUMNS, figureRow, type Table } from '../report.ts';
import { ratios, spreadOf } from '../statistics.ts';
import type { BareResult, BareTask } from './bare-argon2.child.ts';

/** What one API process has by default: src/core/env.ts. Both sides are told it. */
export const HASHES_AT_ONCE = Math.min(3, availableParallelism());

export interface LoginPlan {
  rounds: number;
  seconds: number;
  accounts: number;
}

const BARE = new URL('./bare-argon2.child.ts', import.meta.url);
const CONNECTIONS = 16;
const WARM_UP_SECONDS = 10;
const GOAL = { atLeast: 0.85 };
const PASSWORD = 'correct horse battery';

/** Signing in with right passwords, against verifying passwords and nothing else, in turns. */
export async function measureLogins(
  product: Product,
  load: Load,
  { rounds, seconds, accounts }: LoginPlan,
  cleanUp: CleanUp,
): Promise<Table> {
  const bodies = await registerAccounts(product.url, accounts);
  const bare = await HelperProcess.ready(BARE, {
    variables: { UV_THREADPOOL_SIZE: String(HASHES_AT_ONCE) },
  });
  cleanUp.add(() => {
    bare.kill();
  });
  const figures: Record<'product' | 'bare', number[]> = { product: [], bare: [] };
  const cpu: typeof figures = { product: [], bare: [] };
  const sides = {
    product: async (forSeconds: number): Promise<number> => {
      const before = cpuMsOfTree(product.api.pid);
      const result = await load.run({
        ...{ url: `${product.url}/api/v1/auth/login`, method: 'POST', status: 200 },
        headers: { 'content-type': 'application/json' },
        ...{ bodies, connections: CONNECTIONS, seconds: forSeconds },
      });
      cpu.product.push((cpuMsOfTree(product.api.pid) - before) / result.requests);
      return result.requests / result.seconds;
    },
    bare: async (forSeconds: number): Promise<number> => {
      const before = cpuMsOfTree(bare.pid);
      bare.send({ atOnce: HASHES_AT_ONCE, seconds: forSeconds } satisfies BareTask);
      const result = (await bare.nextMessage()) as BareResult;
      cpu.bare.push((cpuMsOfTree(bare.pid) - before) / result.verified);
      return result.verified / result.seconds;
    },
  };
  for (const side of Object.values(sides)) await side(WARM_UP_SECONDS);
  cpu.product.length = 0;
  cpu.bare.length = 0;
  for (let round = 0; round < rounds; round += 1) {
    const order = ['product', 'bare'] as const;
    for (const side of round % 2 === 0 ? order : order.toReversed()) {
      figures[side].push(await sides[side](seconds));
    }
  }
  return {
    title: 'Signing in with a password',
    note: [
      `Rounds: ${rounds} of ${seconds} s for each side. Product: \`POST /api/v1/auth/login\` with the right password, of ${accounts} accounts, each the owner of a studio, with ${CONNECTIONS} connections: it counts the call, verifies the password, and stores a session with its entry in the audit.`,
      `Bare: a process that verifies such passwords and does nothing else, argon2id with the same parameters and as many threads, which never wait: each has the next password at hand. Both work on ${HASHES_AT_ONCE} passwords at once.`,
      'The product shares the machine with its database and its clients, and the bare one has it to itself.',
    ].join(' '),
    columns: FIGURE_COLUMNS,
    rows: [
      figureRow({ name: 'sign-ins, product', spread: spreadOf(figures.product), unit: '/s' }),
      figureRow({ name: 'verifications, bare', spread: spreadOf(figures.bare), unit: '/s' }),
      figureRow({
        name: 'sign-ins, product : bare',
        spread: spreadOf(ratios(figures.product, figures.bare)),
        digits: 2,
        goal: GOAL,
      }),
      ...Object.entries(cpu).map(([side, values]) =>
        figureRow({
          name: `CPU of each, ${side}`,
          spread: spreadOf(values),
          unit: ' ms',
          digits: 1,
        }),
      ),
    ],
  };
}

/** @returns a body for each that signs it in, in base64 */
async function registerAccounts(url: string, count: number): Promise<string[]> {
  const emails = Array.from({ length: count }, (_, number) => `login-${number}@example.com`);
  return inFlight(emails, HASHES_AT_ONCE, async (email) => {
    const { status } = await fetch(`${url}/api/v1/auth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email, password: PASSWORD, name: 'Bench' }),
    });
    if (status !== 201) throw new Error(`Registering was answered with ${status}.`);
    return Buffer.from(JSON.stringify({ email, password: PASSWORD })).toString('base64');
  });
}
