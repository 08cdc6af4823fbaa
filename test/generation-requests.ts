import { EntityManager } from '@mikro-orm/postgresql';
import { credit } from '../src/coins/ledger.js';
import { newId } from '../src/core/ids.js';
import { eventually } from './eventually.js';
import { registerAdmin } from './administrators.js';
import type { Account, TestingApp } from './testing-app.js';

const GENERATIONS = '/api/v1/generations';

/** Somebody with so many coins. */
export async function withCoins(app: TestingApp, amount: number): Promise<Account> {
  const account = await app.register();
  const em = app.app.get(EntityManager).fork();
  await em.transactional((inner) =>
    credit(inner, { userId: account.userId, amount, kind: 'PURCHASE', reference: newId() }),
  );
  return account;
}

/** Asks for pictures, and waits for them when it is told for how long. */
export function generate(
  app: TestingApp,
  as: Account,
  asked: object = {},
  { wait = 0, key }: { wait?: number; key?: string } = {},
) {
  const request = app.as(as).post('/api/v1/images/generate').query({ wait });
  if (key !== undefined) void request.set('idempotency-key', key);
  return request.send({ prompt: 'A lighthouse above the sea at dusk', ...asked });
}

export async function balanceOf(app: TestingApp, as: Account) {
  const { body } = await app.as(as).get('/api/v1/coins').expect(200);
  return { posted: body.posted, held: body.held, available: body.available };
}

/** A generation once it is over. */
export async function finalGeneration(app: TestingApp, as: Account, id: string) {
  return eventually(
    async () => (await app.as(as).get(`${GENERATIONS}/${id}`).expect(200)).body,
    ({ status }) => status === 'COMPLETED' || status === 'FAILED',
    30_000,
  );
}

/** What the proof of the ledger finds wrong; nothing, if all is well. */
export async function ledgerFaults(app: TestingApp) {
  const admin = await registerAdmin(app);
  const { body } = await app.as(admin).get('/api/v1/admin/ledger/proof').expect(200);
  return { differences: body.differences, sum: body.sum };
}

/** What {@link ledgerFaults} is of a ledger that is right. */
export const NO_FAULTS = { differences: [], sum: 0 };
