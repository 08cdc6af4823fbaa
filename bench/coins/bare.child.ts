import pg from 'pg';
import { v7 } from 'uuid';
import { answerTasks } from './spends.ts';

/**
 * What the product is measured against: the best statement that does the same, a conditional update
 * and the entry in the ledger in one, prepared, sent with `pg` and nothing else.
 */
const SPEND = {
  name: 'spend',
  text: `
    with account as (
      update coin_accounts set posted = posted - $1
      where user_id = $2 and posted - held >= $1
      returning id
    )
    insert into coin_transfers
      (id, account_id, debit_account_id, credit_account_id, amount, kind, phase, reference, created_at)
    select $3::uuid, id, id, '00000000-0000-8000-8000-000000000002', $1, 'GENERATION', 'SINGLE', $4, now()
    from account`,
};

answerTasks(async ({ variables }) => {
  const pool = new pg.Pool({
    connectionString: variables['DATABASE_URL'],
    max: Number(variables['DATABASE_POOL_SIZE']),
  });
  await pool.query('select 1');
  return async (userId) => {
    const { rowCount } = await pool.query({ ...SPEND, values: [1, userId, v7(), v7()] });
    if (rowCount !== 1) throw new Error('There are not enough coins.');
  };
});
