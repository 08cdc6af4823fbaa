import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { Problem } from '../../core/problems/problem.js';
import type { OutgoingMail } from '../../mail/outgoing-mail.entity.js';
import { AccountNotices } from '../mail/account-notices.js';
import { Challenges } from '../second-factor/challenges.js';
import { Codes, isRecoveryCode, type RightCode } from '../second-factor/codes/codes.service.js';
import type { TotpSecret } from '../second-factor/codes/totp-secret.entity.js';
import { recoveryCodeUsedMail } from '../second-factor/notices/second-factor-mail.texts.js';
import { invalidChallenge, invalidCode } from '../second-factor/second-factor.problems.js';
import { SecondFactors, stateOf } from '../second-factor/second-factors.service.js';
import type { SignIn } from '../sign-in/sign-in-answers.js';
import { SignInService } from '../sign-in/sign-in.service.js';
import type { User } from '../users/user.entity.js';
import { Users } from '../users/users.service.js';
import type { TotpSignIn as TotpSignInBody } from './totp.schema.js';

/** The second step of signing in. */
@Injectable()
export class TotpSignIn {
  constructor(
    private readonly users: Users,
    private readonly signIns: SignInService,
    private readonly factors: SecondFactors,
    private readonly challenges: Challenges,
    private readonly codes: Codes,
    private readonly notices: AccountNotices,
  ) {}

  /**
   * Signs in who has a challenge from the first step, and a code. Of many who bring the same code at
   * once one is signed in: it is used up in the transaction of the session.
   *
   * @throws Problem `invalid-challenge`, `invalid-code`, or as {@link Codes.check}
   */
  async enter({ challenge, code }: TotpSignInBody): Promise<SignIn> {
    const { user, secret } = await this.take(challenge);
    const right = await this.codes.check({ user, secret }, code, { kind: 'anonymous' });
    if (!right) throw new Problem(invalidCode);
    return this.signIns.enterWith(user, (em, held) => this.use(em, held, right));
  }

  /** @throws Problem `invalid-challenge` */
  private async take(challenge: string): Promise<{ user: User; secret: TotpSecret }> {
    const userId = this.challenges.accountOf(challenge);
    const user = userId === undefined ? null : await this.users.findById(userId);
    const secret = user && !user.isDisabled ? await this.factors.find(user.id) : null;
    if (!user || !secret?.isOn || !this.challenges.isGood(challenge, stateOf(user, secret))) {
      throw new Problem(invalidChallenge);
    }
    return { user, secret };
  }

  private async use(
    em: EntityManager,
    user: User,
    right: RightCode,
  ): Promise<OutgoingMail | undefined> {
    if (!(await this.codes.use(em, user, right))) throw new Problem(invalidCode);
    return isRecoveryCode(right) ? this.notices.add(em, recoveryCodeUsedMail, user) : undefined;
  }
}
