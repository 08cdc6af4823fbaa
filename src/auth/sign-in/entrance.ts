import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { type CompiledQuery, sql } from 'kysely';
import { auditInsert, type AuditValues, auditValues } from '../../core/audit/audit-insert.js';
import { AuditLog } from '../../core/audit/audit-log.js';
import { prepare, runPrepared } from '../../core/database/prepared.js';
import { type HeldSession, Sessions } from '../sessions/sessions.service.js';
import type { User } from '../users/user.entity.js';
import { joinedStudio, type JoinedStudio } from './joined-studio.js';

interface EntranceValues extends AuditValues {
  id: string;
  userId: string;
  passwordHash: string | null;
  tokenHash: string;
  device: string | null;
  address: string | null;
  createdAt: Date;
  expiresAt: Date;
}

interface EntranceRow {
  secretId: string | null;
  studio: JoinedStudio | null;
}

/** What somebody finds who has shown the first factor of an account. */
export type EntranceResult =
  | { readonly session: HeldSession; readonly studio: JoinedStudio | null }
  /** There is an authenticator to be asked; no session has begun. */
  | { readonly secretId: string };

/**
 * Begins a session if the account is still as it was read and has no second factor, and remembers it
 * in the audit: all by one statement, which is most of what signing in does besides the password.
 *
 * It locks the account. Whoever changes its password or disables it finds the session, to end it, or
 * the session never begins. Nothing else is looked at again after waiting for the lock: who is on the
 * way in while two factors are switched on is in before, since that ends no session.
 */
@Injectable()
export class Entrance {
  private statement: ((values: EntranceValues) => CompiledQuery<EntranceRow>) | undefined;

  constructor(
    private readonly em: EntityManager,
    private readonly sessions: Sessions,
    private readonly audit: AuditLog,
  ) {}

  /** @returns undefined when the account was changed or disabled meanwhile */
  async admit(user: User): Promise<EntranceResult | undefined> {
    this.statement ??= this.prepare();
    const { session, refreshToken, event } = this.sessions.draft(user);
    const { id, tokenHash, device, address, createdAt, expiresAt } = session;
    const statement = this.statement({
      ...{ id, tokenHash, createdAt, expiresAt },
      ...{ userId: user.id, passwordHash: user.passwordHash ?? null },
      ...{ device: device ?? null, address: address ?? null },
      ...auditValues(this.audit.describe(event)),
    });
    const pool = await this.em.getConnection().getNativeClient();
    const [row] = await runPrepared(pool, statement);
    if (!row) return undefined;
    if (row.secretId !== null) return { secretId: row.secretId };
    return { session: { user, sessionId: id, refreshToken }, studio: row.studio };
  }

  private prepare() {
    return prepare<EntranceValues, EntranceRow>((valueOf) => {
      const statement = sql<EntranceRow>`
        with account as (
          select id from users
          where id = ${valueOf('userId')}::uuid and disabled_at is null
            and password_hash is not distinct from ${valueOf('passwordHash')}
          for share
        ), secret as (
          select id from totp_secrets
          where user_id in (select id from account) and confirmed_at is not null
        ), session as (
          insert into sessions
            (id, user_id, token_hash, device, address,
             created_at, rotated_at, last_used_at, expires_at)
          select ${valueOf('id')}::uuid, id, ${valueOf('tokenHash')}, ${valueOf('device')},
                 ${valueOf('address')}, at, at, at, ${valueOf('expiresAt')}::timestamptz
          from account, (select ${valueOf('createdAt')}::timestamptz as at) as now
          where not exists (select from secret)
          returning id
        ), ${auditInsert(valueOf, 'session')}
        select (select id from secret) as "secretId",
               ${joinedStudio('account.id')} as studio
        from account`;
      return { compile: () => statement.compile(this.em.getConnection().getClient()) };
    });
  }
}
