import pg from 'pg';

/** More than is spent in any run. */
const COINS_EACH = 1_000_000_000;

/** Makes users with coins, as if each had bought some. @returns their ids */
export async function makeAccounts(databaseUrl: string, count: number): Promise<string[]> {
  return withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{ id: string }>(MAKE_USERS, [count]);
    const ids = rows.map(({ id }) => id);
    await client.query(MAKE_ACCOUNTS, [ids, COINS_EACH]);
    await client.query('analyze users, coin_accounts, coin_transfers');
    return ids;
  });
}

/** Fills the ledger up with spends of one coin, in turns of the accounts. @returns how many there are */
export async function fillLedger(
  databaseUrl: string,
  userIds: readonly string[],
  transfers: number,
): Promise<number> {
  return withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{ count: number }>(COUNT);
    const missing = Math.max(0, transfers - (rows[0]?.count ?? 0));
    await client.query(SPEND, [userIds, Math.ceil(missing / userIds.length)]);
    await client.query('analyze coin_transfers');
    return (await client.query<{ count: number }>(COUNT)).rows[0]?.count ?? 0;
  });
}

async function withClient<T>(
  connectionString: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const COUNT = 'select count(*)::int as count from coin_transfers';

const MAKE_USERS = `
  insert into users (id, email, created_at, updated_at)
  select id, id || '@example.com', now(), now()
  from (select uuidv7() as id from generate_series(1, $1::int)) as made
  returning id`;

const MAKE_ACCOUNTS = `
  with account as (
    insert into coin_accounts (id, kind, user_id, posted, created_at)
    select uuidv7(), 'USER', user_id, $2::bigint, now() from unnest($1::uuid[]) as user_id
    returning id, posted
  )
  insert into coin_transfers
    (id, account_id, debit_account_id, credit_account_id, amount, kind, phase, reference, created_at)
  select uuidv7(), id, '00000000-0000-8000-8000-000000000001', id, posted, 'PURCHASE', 'SINGLE', id, now()
  from account`;

const SPEND = `
  with account as (
    update coin_accounts set posted = posted - $2::int
    where user_id = any ($1::uuid[]) and $2::int > 0
    returning id
  )
  insert into coin_transfers
    (id, account_id, debit_account_id, credit_account_id, amount, kind, phase, reference, created_at)
  select uuidv7(), id, id, '00000000-0000-8000-8000-000000000002', 1, 'GENERATION', 'SINGLE',
         uuidv7(), clock_timestamp()
  from account, generate_series(1, $2::int)`;
