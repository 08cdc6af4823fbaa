import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { type Actor, AuditLog } from '../../../core/audit/audit-log.js';
import { ENV, type Env } from '../../../core/env.js';
import { Problem } from '../../../core/problems/problem.js';
import { type RateLimit, RateLimits } from '../../../core/rate-limits/rate-limits.js';
import { AccountNotices } from '../../mail/account-notices.js';
import type { User } from '../../users/user.entity.js';
import { codesLockedMail } from '../notices/second-factor-mail.texts.js';
import { tooManyCodes, totpUnreadable } from '../second-factor.problems.js';
import { RecoveryCode } from './recovery-code.entity.js';
import { recoveryCodeHash } from './recovery-codes.js';
import { SealedSecrets } from './sealed-secrets.js';
import type { TotpSecret } from './totp-secret.entity.js';
import { stepOfCode, TOTP_CODE } from './totp.js';

/** How many wrong codes of six digits in a row are looked at without waiting. */
const FREE_TRIES = 20;
/** How long each further one has to wait for, from the one before. */
const WAIT_SECONDS = 3_600;

interface RightDigits {
  readonly secretId: string;
  /** Of time, that the code belongs to. */
  readonly step: number;
}

interface RightRecoveryCode {
  readonly secretId: string;
  readonly codeHash: string;
}

/** A code that was right when it was looked at, and is to be used up. */
export type RightCode = RightDigits | RightRecoveryCode;

/** What was found out about a code. */
interface Look {
  readonly right: RightCode | undefined;
  /** How many of six digits there were since the last right one. */
  readonly tries: number;
}

/**
 * Looks at codes, few of them, and uses each once.
 *
 * Ten wrong ones are taken within a minute, as of passwords, but counted apart from those: who does
 * not know the password gets no code looked at, and must not be able to use these tries up. As ten a
 * minute would find six digits within weeks, after twenty wrong ones in a row a further one is looked
 * at once an hour; recovery codes are too long to be found, and are taken meanwhile.
 */
@Injectable()
export class Codes {
  private readonly logger = new Logger(Codes.name);
  private readonly failures: RateLimit;

  constructor(
    private readonly em: EntityManager,
    private readonly secrets: SealedSecrets,
    private readonly limits: RateLimits,
    private readonly notices: AccountNotices,
    private readonly audit: AuditLog,
    @Inject(ENV) env: Env,
  ) {
    this.failures = { name: 'failed-codes', perMinute: env.FAILED_SIGN_INS_PER_MINUTE };
  }

  /**
   * Whether a code is right; it is not used yet.
   *
   * @param code canonical: six digits, or a recovery code
   * @param actor who is said to have brought it, when it is wrong
   * @returns undefined when it is wrong
   * @throws Problem `too-many-requests`, `too-many-codes`, `totp-unreadable`
   */
  async check(
    { secret, user }: { secret: TotpSecret; user: User },
    code: string,
    actor: Actor,
  ): Promise<RightCode | undefined> {
    const { right } = await this.limits.try(this.failures, user.id, async () => {
      const { right, tries } = await (TOTP_CODE.test(code)
        ? this.lookAtDigits(secret, user, code)
        : this.lookAtRecoveryCode(secret, code));
      // One of many that come at once has this number: the limit must not keep it from telling.
      if (!right && tries === FREE_TRIES) await this.tellLocked(user);
      return { right, isRight: right !== undefined };
    });
    if (right) return right;
    const target = { type: 'user', id: user.id };
    await this.audit.record({ actor, action: 'totp.code-refused', target });
    return undefined;
  }

  /**
   * Uses a code up in the transaction of `em`, which holds the account: of many who bring the same
   * one, one does.
   *
   * @returns whether it was there to be used
   */
  async use(em: EntityManager, user: User, right: RightCode): Promise<boolean> {
    if (!isRecoveryCode(right)) return this.useStep(em, right);
    const { secretId: secret, codeHash } = right;
    if ((await em.nativeDelete(RecoveryCode, { secret, codeHash })) === 0) return false;
    this.audit.add(em, {
      actor: { kind: 'user', id: user.id },
      action: 'recovery-code.used',
      target: { type: 'user', id: user.id },
    });
    return true;
  }

  /** Each is counted before it is looked at, by one statement: so also of many at once. */
  private async lookAtDigits(secret: TotpSecret, user: User, code: string): Promise<Look> {
    const opened = this.secrets.open(secret.sealed, user.id);
    if (opened === undefined) {
      this.logger.error({ userId: user.id, msg: 'A TOTP secret is of another APP_SECRET' });
      throw new Problem(totpUnreadable);
    }
    const tries = await this.countTry(secret);
    const step = await stepOfCode(opened, code);
    const isNew = step !== undefined && step > (secret.lastUsedStep ?? 0);
    return { tries, right: isNew ? { secretId: secret.id, step } : undefined };
  }

  private async lookAtRecoveryCode({ id }: TotpSecret, code: string): Promise<Look> {
    const codeHash = recoveryCodeHash(id, code);
    const found = await this.em.count(RecoveryCode, { secret: id, codeHash });
    return { tries: 0, right: found > 0 ? { secretId: id, codeHash } : undefined };
  }

  /** @returns how many there were in a row, this one included */
  private async countTry({ id }: TotpSecret): Promise<number> {
    const [counted] = await this.em.execute<{ tries: number }[]>(
      `update totp_secrets set tries = tries + 1, last_tried_at = now()
       where id = ? and (tries < ? or last_tried_at <= now() - make_interval(secs => ?))
       returning tries`,
      [id, FREE_TRIES, WAIT_SECONDS],
    );
    if (counted) return counted.tries;
    const [held] = await this.em.execute<{ seconds: number }[]>(
      `select ceil(extract(epoch from last_tried_at - now()) + ?)::int as seconds
       from totp_secrets where id = ?`,
      [WAIT_SECONDS, id],
    );
    throw new Problem(tooManyCodes, undefined, {
      headers: { 'retry-after': String(Math.max(1, held?.seconds ?? 1)) },
    });
  }

  /** Somebody knows the password, and it may not be the owner. */
  private async tellLocked(user: User): Promise<void> {
    const notice = await this.em.transactional((em) => {
      this.audit.add(em, {
        actor: { kind: 'system' },
        action: 'totp.locked',
        target: { type: 'user', id: user.id },
      });
      return Promise.resolve(this.notices.add(em, codesLockedMail, user));
    });
    await this.notices.handOver(notice);
  }

  private async useStep(em: EntityManager, { secretId, step }: RightDigits): Promise<boolean> {
    const [used] = await em.execute<unknown[]>(
      `update totp_secrets set last_used_step = ?, tries = 0
       where id = ? and coalesce(last_used_step, 0) < ?
       returning id`,
      [step, secretId, step],
    );
    return used !== undefined;
  }
}

export function isRecoveryCode(right: RightCode): right is RightRecoveryCode {
  return 'codeHash' in right;
}
