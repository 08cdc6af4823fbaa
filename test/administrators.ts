import { type Account, type TestingApp } from './testing-app.js';

/** Registers somebody who is then made an administrator. */
export async function registerAdmin(app: TestingApp): Promise<Account> {
  const account = await app.register();
  await app.database.query(`update users set roles = '{USER,ADMIN}' where id = $1`, [
    account.userId,
  ]);
  return account;
}
