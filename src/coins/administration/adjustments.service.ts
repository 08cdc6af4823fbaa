import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { lockGoverned } from '../../auth/users/user-lock.js';
import { type Actor, AuditLog } from '../../core/audit/audit-log.js';
import { Idempotency, IdempotentRun } from '../../core/http/idempotency.js';
import { balanceOf, credit, lockBalance, spend } from '../ledger.js';
import type { AdjustedAnswer, Adjustment } from './admin-coins.schema.js';

const ROUTE = 'coins.adjust';
/** Under which the keys of whoever holds the `ADMIN_TOKEN` are kept: it is nobody's account. */
const ADMIN_TOKEN_OWNER = '00000000-0000-0000-0000-000000000000';

/** What an adjustment is answered with. */
export interface AdjustmentAnswer {
  readonly status: number;
  readonly body: AdjustedAnswer;
  /** Whether this is the stored answer to the same request. */
  readonly replayed: boolean;
}

/** Coins that administrators give and deduct. */
@Injectable()
export class Adjustments {
  constructor(
    private readonly em: EntityManager,
    private readonly idempotency: Idempotency,
    private readonly audit: AuditLog,
  ) {}

  /**
   * Deducts no more than is available: a debt is left by a refund alone, never by a slip.
   *
   * @throws Problem `not-found`, `forbidden`, `insufficient-coins`, `too-many-coins`, `idempotency-…`
   */
  async adjust(
    actor: Actor,
    userId: string,
    adjustment: Adjustment,
    key: string | undefined,
  ): Promise<AdjustmentAnswer> {
    const ownerId = actor.kind === 'user' ? actor.id : ADMIN_TOKEN_OWNER;
    const content = { userId, ...adjustment };
    const run = await this.idempotency.begin({ ownerId, route: ROUTE, key, content });
    if (!(run instanceof IdempotentRun)) {
      return { status: run.status, body: run.body as AdjustedAnswer, replayed: true };
    }
    try {
      const answer = await this.em.fork().transactional(async (em) => {
        const body = await this.move(em, actor, userId, adjustment);
        await run.complete(em, { status: 201, body });
        return { status: 201, body };
      });
      return { ...answer, replayed: false };
    } catch (error) {
      await run.abandon().catch(() => undefined);
      throw error;
    }
  }

  /** The reference of the transfer is its entry in the audit, which knows why, until that is erased. */
  private async move(
    em: EntityManager,
    actor: Actor,
    userId: string,
    { amount, reason }: Adjustment,
  ): Promise<AdjustedAnswer> {
    await lockGoverned(em, actor, userId);
    // What is spent at the same time comes before this, or after it: the audit tells what there was.
    const before = await lockBalance(em, userId);
    const details = this.audit.describe({
      actor,
      action: 'coins.adjusted',
      target: { type: 'user', id: userId },
      before: { available: before.available },
      after: { amount, reason },
    });
    em.persist(details);
    const movement = { userId, kind: 'ADJUSTMENT', reference: details.entry.id } as const;
    const { transferId } =
      amount > 0
        ? await credit(em, { ...movement, amount })
        : await spend(em, { ...movement, amount: -amount });
    return { transferId, balance: await balanceOf(em, userId) };
  }
}
