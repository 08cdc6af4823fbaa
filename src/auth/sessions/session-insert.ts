import type { EntityManager } from '@mikro-orm/postgresql';
import { type CompiledQuery, sql } from 'kysely';
import type { AuditDetails } from '../../core/audit/audit-entry.entity.js';
import { prepare, runPrepared } from '../../core/database/prepared.js';
import type { Session } from './session.entity.js';

interface SessionValues {
  id: string;
  userId: string;
  passwordHash: string | null;
  tokenHash: string;
  device: string | null;
  address: string | null;
  createdAt: Date;
  expiresAt: Date;
  entryId: string;
  action: string;
  targetType: string | null;
  requestId: string | null;
}

/**
 * Inserts a session and its entry in the audit if the account is still as it was read, by one
 * statement: it is most of what signing in does besides checking the password.
 *
 * The lock has it done before whoever changes the account, and then ends all sessions, or not at all.
 */
export class SessionInsert {
  private statement: ((values: SessionValues) => CompiledQuery<{ id: string }>) | undefined;

  constructor(private readonly em: EntityManager) {}

  /** @returns whether it was inserted */
  async run(session: Session, { entry, address }: AuditDetails): Promise<boolean> {
    this.statement ??= this.prepare();
    const { id, user, tokenHash, device, createdAt, expiresAt } = session;
    const pool = await this.em.getConnection().getNativeClient();
    const rows = await runPrepared(
      pool,
      this.statement({
        ...{ id, tokenHash, createdAt, expiresAt },
        ...{ userId: user.id, passwordHash: user.passwordHash ?? null },
        ...{ device: device ?? null, address: address ?? null },
        ...{ entryId: entry.id, action: entry.action },
        ...{ targetType: entry.targetType ?? null, requestId: entry.requestId ?? null },
      }),
    );
    return rows.length > 0;
  }

  private prepare() {
    return prepare<SessionValues, { id: string }>((valueOf) => {
      const statement = sql<{ id: string }>`
        with account as (
          select id from users
          where id = ${valueOf('userId')}::uuid and disabled_at is null
            and password_hash is not distinct from ${valueOf('passwordHash')}
          for share
        ), session as (
          insert into sessions
            (id, user_id, token_hash, device, address,
             created_at, rotated_at, last_used_at, expires_at)
          select ${valueOf('id')}::uuid, id, ${valueOf('tokenHash')}, ${valueOf('device')},
                 ${valueOf('address')}, at, at, at, ${valueOf('expiresAt')}::timestamptz
          from account, (select ${valueOf('createdAt')}::timestamptz as at) as now
          returning id, user_id, address, created_at
        ), entry as (
          insert into audit_entries
            (id, actor_kind, actor_id, action, target_type, target_id, request_id, created_at)
          select ${valueOf('entryId')}::uuid, 'user', user_id, ${valueOf('action')},
                 ${valueOf('targetType')}, id, ${valueOf('requestId')}, created_at
          from session
          returning id
        )
        insert into audit_details (entry_id, address)
        select entry.id, session.address from entry, session
        returning entry_id as id`;
      return { compile: () => statement.compile(this.em.getConnection().getClient()) };
    });
  }
}
