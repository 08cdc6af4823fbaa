import { EntityManager } from '@mikro-orm/postgresql';
import { credit } from '../src/coins/ledger.js';
import { newId } from '../src/core/ids.js';
import { eventually } from './eventually.js';
import { registerAdmin } from './administrators.js';
import type { GeminiRequest } from './gemini-server.js';
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

/** What a model was asked to paint. */
export function promptOf({ body }: GeminiRequest): string {
  const parts = body.contents.flatMap((content) => content.parts);
  return String(parts.find((part) => 'text' in part)?.['text']);
}

export async function balanceOf(app: TestingApp, as: Account) {
  const { body } = await app.as(as).get('/api/v1/coins').expect(200);
  return { posted: body.posted, held: body.held, available: body.available };
}

/** What moved the coins of somebody for pictures, by phase, the oldest first. */
export async function transfersFor(
  { database }: TestingApp,
  { userId }: Account,
): Promise<{ phase: string; reference: string; amount: number }[]> {
  return database.query(
    `select phase, reference, amount::int as amount
     from coin_transfers join coin_accounts on coin_accounts.id = account_id
     where user_id = $1 and coin_transfers.kind = 'GENERATION'
     order by hold_id is not null, coin_transfers.created_at, coin_transfers.id`,
    [userId],
  );
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

/**
 * Has the files of so many pictures not be stored, by a fault that is no outage: what is about to be stored
 * is written down first, and that fails. Sequences are not rolled back.
 */
export async function refuseToStore({ database }: TestingApp, pictures: number): Promise<void> {
  await database.query(`
    create sequence written;
    create function refuse() returns trigger language plpgsql security definer as $$
      begin
        if nextval('public.written') <= ${pictures} then perform 1 / 0; end if;
        return null;
      end $$;
    create trigger refuse before insert on file_removals
      for each statement execute function refuse()`);
}

export async function storeAgain({ database }: TestingApp): Promise<void> {
  await database.query('drop function refuse cascade; drop sequence written');
}
