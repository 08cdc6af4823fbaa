import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import DataLoader from 'dataloader';
import { type CompiledQuery, sql } from 'kysely';
import { z } from 'zod';
import { prepare, runPrepared } from '../core/database/prepared.js';
import type { Principal } from './access.js';
import { accessClaims } from './access-tokens.js';
import type { Role } from './user.entity.js';

/** What a token must say once its signature is right; libraries let one pass that never expires. */
export const verifiedClaims = accessClaims.extend({ exp: z.int() });

export type VerifiedClaims = z.output<typeof verifiedClaims>;

/** An account that may sign in. */
interface Account {
  id: string;
  roles: Role[];
}

/** The table as the query sees it, with PostgreSQL's names. */
interface UserTable {
  users: { id: string; disabled_at: Date | null };
}

/** The most accounts that one query asks for; those of more requests take several. */
const MAX_BATCH = 500;

/**
 * Who is behind a token. Its account is asked for with every request: one query for all that come in
 * the same turn of the event loop, begun after they have come, so that none of them is told of old.
 */
@Injectable()
export class Principals {
  private readonly accounts = new DataLoader<string, Account | undefined>(
    (ids) => this.findAccounts(ids),
    { cache: false, maxBatchSize: MAX_BATCH, batchScheduleFn: setImmediate },
  );
  private statement: ((values: { ids: readonly string[] }) => CompiledQuery<Account>) | undefined;

  constructor(private readonly em: EntityManager) {}

  /**
   * Roles come from the account: a role taken away is gone.
   *
   * @returns false when there is no such account any more, or it is disabled
   */
  async find({ sub, studioId }: VerifiedClaims): Promise<Principal | false> {
    const account = await this.accounts.load(sub);
    return account ? { userId: sub, roles: account.roles, studioId: studioId ?? null } : false;
  }

  /** @returns one for each id, in their order */
  private async findAccounts(ids: readonly string[]): Promise<(Account | undefined)[]> {
    const connection = this.em.getConnection();
    this.statement ??= prepare<{ ids: readonly string[] }, Account>((valueOf) =>
      connection
        .getClient<UserTable>()
        .selectFrom('users')
        .select(['id', sql<Role[]>`to_json(roles)`.as('roles')])
        .where(sql<boolean>`id = any (${valueOf('ids')}::uuid[])`)
        .where('disabled_at', 'is', null),
    );
    const pool = await connection.getNativeClient();
    const rows = await runPrepared(pool, this.statement({ ids }));
    const accounts = new Map(rows.map((account) => [account.id, account]));
    return ids.map((id) => accounts.get(id));
  }
}
