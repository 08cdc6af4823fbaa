import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { type Actor, AuditLog } from '../../core/audit/audit-log.js';
import { forbidden, Problem } from '../../core/problems/problem.js';
import { AccountNotices } from '../mail/account-notices.js';
import type { User } from '../users/user.entity.js';
import { isSelf, lockGoverned } from '../users/user-lock.js';
import { Challenges } from './challenges.js';
import { TotpSecret } from './codes/totp-secret.entity.js';
import { totpSwitchedOffMail } from './notices/second-factor-mail.texts.js';
import { totpRequired } from './second-factor.problems.js';

/** Which accounts sign in with two factors. Whoever changes that locks the account first. */
@Injectable()
export class SecondFactors {
  constructor(
    private readonly em: EntityManager,
    private readonly challenges: Challenges,
    private readonly notices: AccountNotices,
    private readonly audit: AuditLog,
  ) {}

  /** @returns that of an account, confirmed or not */
  find(userId: string, em = this.em): Promise<TotpSecret | null> {
    return em.findOne(TotpSecret, { user: userId }, { refresh: true });
  }

  /**
   * What who has shown the first factor of an account is told when there is a second one:
   * `totp-required`, with the challenge for that step.
   */
  required(user: User, secretId: string): Problem {
    const challenge = this.challenges.issue(stateOf(user, { id: secretId }));
    return new Problem(totpRequired, undefined, { extensions: { challenge } });
  }

  /**
   * Switches two factors off for somebody who has lost theirs; where they are off already, that is no
   * error. For oneself there is the way that asks for a code.
   *
   * @throws Problem `not-found`; `forbidden` for one's own
   */
  async reset(actor: Actor, userId: string): Promise<void> {
    const notice = await this.em.fork().transactional(async (em) => {
      const user = await lockGoverned(em, actor, userId);
      if (isSelf(actor, userId)) {
        throw new Problem(forbidden, 'Switch your own off with a code: DELETE /api/v1/me/totp.');
      }
      const secret = await this.find(userId, em);
      return secret ? this.switchOff(em, { actor, user, secret }, 'totp.reset') : undefined;
    });
    await this.notices.handOver(notice);
  }

  /** Forgets an authenticator that was never its owner's, in the transaction of `em`. */
  async forget(em: EntityManager, { id }: User): Promise<void> {
    if ((await em.nativeDelete(TotpSecret, { user: id })) === 0) return;
    this.audit.add(em, {
      actor: { kind: 'user', id },
      action: 'totp.reset',
      target: { type: 'user', id },
    });
  }

  /** Switches off in the transaction of `em`, which has locked the account. */
  switchOff(
    em: EntityManager,
    { actor, user, secret }: { actor: Actor; user: User; secret: TotpSecret },
    action: 'totp.reset' | 'totp.switched-off',
  ) {
    em.remove(secret);
    this.audit.add(em, { actor, action, target: { type: 'user', id: user.id } });
    return secret.isOn ? this.notices.add(em, totpSwitchedOffMail, user) : undefined;
  }
}

/** What a challenge for an account holds on to. */
export function stateOf(user: User, secret: Pick<TotpSecret, 'id'>) {
  return { userId: user.id, passwordHash: user.passwordHash ?? null, secretId: secret.id };
}
