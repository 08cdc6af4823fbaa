import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { type CompiledQuery, sql } from 'kysely';
import { z } from 'zod';
import { mainEntityManager } from '../core/database/own-entity-manager.js';
import { prepare, runPrepared } from '../core/database/prepared.js';
import type { Principal } from './access.js';
import { accessClaims } from './access-tokens.js';
import type { Role } from './user.entity.js';
import { VerifiedTokens } from './verified-tokens.js';

/** What a token must say once its signature is right; libraries let one pass that never expires. */
export const verifiedClaims = accessClaims.extend({ exp: z.int() });

export type VerifiedClaims = z.output<typeof verifiedClaims>;

/** The table as the query sees it, with PostgreSQL's names. */
interface UserTable {
  users: { id: string; disabled_at: Date | null };
}

/**
 * Who is behind a token. It is verified once and then remembered until it expires: what was signed
 * stays signed. Its account is asked for each time.
 */
@Injectable()
export class Principals {
  /** What the tokens say that were verified here. */
  readonly verified = new VerifiedTokens<VerifiedClaims>();
  private statement: ((values: { id: string }) => CompiledQuery<{ roles: Role[] }>) | undefined;

  constructor(private readonly em: EntityManager) {}

  /**
   * Roles come from the account: a role taken away is gone.
   *
   * @returns false when there is no such account any more, or it is disabled
   */
  async find({ sub, studioId }: VerifiedClaims): Promise<Principal | false> {
    const account = await this.findAccount(sub);
    return account ? { userId: sub, roles: account.roles, studioId: studioId ?? null } : false;
  }

  /** Every closed request asks this. */
  private async findAccount(id: string): Promise<{ roles: Role[] } | undefined> {
    // Passport keeps one strategy for all applications of a process: the request knows its own.
    const connection = (mainEntityManager() ?? this.em).getConnection();
    this.statement ??= prepare<{ id: string }, { roles: Role[] }>((valueOf) =>
      connection
        .getClient<UserTable>()
        .selectFrom('users')
        .select(sql<Role[]>`to_json(roles)`.as('roles'))
        .where('id', '=', valueOf('id'))
        .where('disabled_at', 'is', null),
    );
    const [account] = await runPrepared(await connection.getNativeClient(), this.statement({ id }));
    return account;
  }
}
