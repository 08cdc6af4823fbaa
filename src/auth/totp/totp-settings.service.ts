import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { Problem } from '../../core/problems/problem.js';
import type { Principal } from '../access/principal.js';
import { AccountNotices } from '../mail/account-notices.js';
import { OwnerCheck } from '../passwords/owner-check.js';
import { Codes } from '../second-factor/codes/codes.service.js';
import { RecoveryCode } from '../second-factor/codes/recovery-code.entity.js';
import {
  canonicalCode,
  newRecoveryCodes,
  recoveryCodeHash,
} from '../second-factor/codes/recovery-codes.js';
import { SealedSecrets } from '../second-factor/codes/sealed-secrets.js';
import { TotpSecret } from '../second-factor/codes/totp-secret.entity.js';
import { newTotpSecret, totpUri } from '../second-factor/codes/totp.js';
import { totpSwitchedOnMail } from '../second-factor/notices/second-factor-mail.texts.js';
import { totpOff, totpOn, wrongCode } from '../second-factor/second-factor.problems.js';
import { SecondFactors } from '../second-factor/second-factors.service.js';
import { User } from '../users/user.entity.js';
import { lockUnchangedUser } from '../users/user-lock.js';
import type {
  RecoveryCodesAnswer,
  RecoveryCodesRequest,
  TotpConfirmation,
  TotpRemoval,
  TotpRequest,
  TotpSecretAnswer,
  TotpState,
} from './totp.schema.js';

/** What the audit is told of a password that was missing or wrong here. */
const REFUSED = 'totp.change-refused';

/** Somebody's account and its authenticator. */
interface Enrolment {
  user: User;
  secret: TotpSecret;
}

/** The second factor of one's own account: switched on, looked after, and switched off. */
@Injectable()
export class TotpSettings {
  constructor(
    private readonly em: EntityManager,
    private readonly factors: SecondFactors,
    private readonly codes: Codes,
    private readonly sealed: SealedSecrets,
    private readonly ownerCheck: OwnerCheck,
    private readonly notices: AccountNotices,
    private readonly audit: AuditLog,
  ) {}

  async state({ userId }: Principal): Promise<TotpState> {
    const secret = await this.factors.find(userId);
    if (!secret) return { state: 'off', recoveryCodesLeft: 0 };
    return {
      state: secret.isOn ? 'on' : 'pending',
      recoveryCodesLeft: await this.em.count(RecoveryCode, { secret }),
    };
  }

  /**
   * Makes a secret for an authenticator, in place of one that nobody has confirmed.
   *
   * @throws Problem `totp-on`, or of {@link OwnerCheck}
   */
  async request(principal: Principal, { password }: TotpRequest): Promise<TotpSecretAnswer> {
    const { userId } = principal;
    const user = await this.em.findOneOrFail(User, { id: userId });
    await this.ownerCheck.require(principal, user, { password, refused: REFUSED });
    const secret = newTotpSecret();
    await this.em.transactional(async (em) => {
      const held = await lockUnchangedUser(em, user, LockMode.PESSIMISTIC_WRITE);
      if ((await this.factors.find(userId, em))?.isOn) throw new Problem(totpOn);
      await em.nativeDelete(TotpSecret, { user: userId });
      em.persist(new TotpSecret(held, this.sealed.seal(secret, userId)));
      this.note(em, userId, 'totp.requested');
    });
    return { secret, uri: totpUri(secret, user.email) };
  }

  /**
   * Switches two factors on, now that the authenticator is known to have the secret.
   *
   * @throws Problem `wrong-code`, `totp-off` when none was asked for, `totp-on`, or as {@link Codes.check}
   */
  async confirm({ userId }: Principal, { code }: TotpConfirmation): Promise<RecoveryCodesAnswer> {
    const enrolment = await this.enrolmentOf(userId);
    if (enrolment.secret.isOn) throw new Problem(totpOn);
    const { answer, notice } = await this.withCode(enrolment, code, async (em, held) => {
      held.secret.confirm();
      this.note(em, userId, 'totp.switched-on');
      return {
        answer: await this.makeRecoveryCodes(em, held.secret),
        notice: this.notices.add(em, totpSwitchedOnMail, held.user),
      };
    });
    await this.notices.handOver(notice);
    return answer;
  }

  /**
   * Makes other recovery codes in place of all that are left.
   *
   * @throws Problem `wrong-code`, `totp-off`, or of {@link OwnerCheck} and {@link Codes.check}
   */
  async replaceRecoveryCodes(
    principal: Principal,
    { password, code }: RecoveryCodesRequest,
  ): Promise<RecoveryCodesAnswer> {
    const { userId } = principal;
    const enrolment = await this.enrolmentOf(userId, 'on');
    await this.ownerCheck.require(principal, enrolment.user, { password, refused: REFUSED });
    return this.withCode(enrolment, code, (em, { secret }) => {
      this.note(em, userId, 'recovery-codes.replaced');
      return this.makeRecoveryCodes(em, secret);
    });
  }

  /** @throws Problem `wrong-code`, `totp-off`, or of {@link OwnerCheck} and {@link Codes.check} */
  async switchOff(principal: Principal, { password, code }: TotpRemoval): Promise<void> {
    const { userId } = principal;
    const enrolment = await this.enrolmentOf(userId, 'on');
    await this.ownerCheck.require(principal, enrolment.user, { password, refused: REFUSED });
    const actor = { kind: 'user', id: userId } as const;
    const notice = await this.withCode(enrolment, code, (em, held) =>
      this.factors.switchOff(em, { actor, ...held }, 'totp.switched-off'),
    );
    await this.notices.handOver(notice);
  }

  /** @throws Problem `totp-off` when there is none, or none that is on although it has to be */
  private async enrolmentOf(userId: string, state?: 'on'): Promise<Enrolment> {
    const user = await this.em.findOneOrFail(User, { id: userId });
    const secret = await this.factors.find(userId);
    if (!secret || (state === 'on' && !secret.isOn)) throw new Problem(totpOff);
    return { user, secret };
  }

  /** Uses a code up in one transaction with what it was brought for. */
  private async withCode<T>(
    enrolment: Enrolment,
    code: string,
    work: (em: EntityManager, held: Enrolment) => T | Promise<T>,
  ): Promise<T> {
    const actor = { kind: 'user', id: enrolment.user.id } as const;
    const right = await this.codes.check(enrolment, code, actor);
    if (!right) throw new Problem(wrongCode);
    return this.em.transactional(async (em) => {
      const user = await lockUnchangedUser(em, enrolment.user, LockMode.PESSIMISTIC_WRITE);
      if (!(await this.codes.use(em, user, right))) throw new Problem(wrongCode);
      const secret = await em.findOneOrFail(TotpSecret, { id: right.secretId }, { refresh: true });
      return work(em, { user, secret });
    });
  }

  private async makeRecoveryCodes(
    em: EntityManager,
    secret: TotpSecret,
  ): Promise<RecoveryCodesAnswer> {
    await em.nativeDelete(RecoveryCode, { secret });
    const recoveryCodes = newRecoveryCodes();
    for (const code of recoveryCodes) {
      em.persist(new RecoveryCode(secret, recoveryCodeHash(secret.id, canonicalCode(code))));
    }
    return { recoveryCodes };
  }

  private note(em: EntityManager, userId: string, action: string): void {
    this.audit.add(em, {
      actor: { kind: 'user', id: userId },
      action,
      target: { type: 'user', id: userId },
    });
  }
}
