import { LockMode, UniqueConstraintViolationException } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { Problem } from '../../core/problems/problem.js';
import { Mail } from '../../mail/mail.service.js';
import type { OutgoingMail } from '../../mail/outgoing-mail.entity.js';
import type { Principal } from '../access/principal.js';
import { emailTaken, invalidCredentials } from '../auth.problems.js';
import { EmailVerification } from '../mail/verification.service.js';
import { Passwords } from '../passwords/passwords.js';
import { SignInAttempts } from '../passwords/sign-in-attempts.js';
import { SecondFactors } from '../second-factor/second-factors.service.js';
import { Sessions } from '../sessions/sessions.service.js';
import { Studio, StudioMember } from '../users/studio.entity.js';
import { User } from '../users/user.entity.js';
import { Users } from '../users/users.service.js';
import { Entrance } from './entrance.js';
import { type SignIn, SignInAnswers } from './sign-in-answers.js';
import type { Login, Register } from './sign-in.schema.js';

/** Registering, and signing in with a password. */
@Injectable()
export class SignInService {
  constructor(
    private readonly em: EntityManager,
    private readonly users: Users,
    private readonly sessions: Sessions,
    private readonly secondFactors: SecondFactors,
    private readonly entrance: Entrance,
    private readonly answers: SignInAnswers,
    private readonly verification: EmailVerification,
    private readonly mail: Mail,
    private readonly audit: AuditLog,
    private readonly passwords: Passwords,
    private readonly attempts: SignInAttempts,
  ) {}

  /**
   * Makes an account, for a studio the studio that it owns, and a session, in one transaction, with a
   * mail that asks for a proof of the address.
   *
   * @throws Problem `email-taken`, `too-many-requests`
   */
  async register({ email, password, name, kind, language }: Register): Promise<SignIn> {
    await this.attempts.countCall('registrations', email);
    const passwordHash = await this.passwords.choose(password, 'body.password');
    const user = new User({
      email,
      passwordHash,
      firstName: kind === 'personal' ? name : null,
      ...(language !== undefined && { language }),
    });
    try {
      const { session, mail } = await this.em.transactional((em) => {
        em.persist(kind === 'studio' ? new StudioMember(new Studio(name), user, 'OWNER') : user);
        return { session: this.sessions.begin(em, user), mail: this.verification.ask(em, user) };
      });
      if (mail) await this.mail.handOver(mail);
      return await this.answers.of(session);
    } catch (error) {
      if (error instanceof UniqueConstraintViolationException) {
        throw new Problem(emailTaken, undefined, { cause: error });
      }
      throw error;
    }
  }

  /** @throws Problem `invalid-credentials`, `totp-required`, `too-many-requests` */
  async login({ email, password }: Login): Promise<SignIn> {
    const { user, isRight } = await this.attempts.try(email, () => this.check(email, password));
    if (user && isRight) return this.enter(user);
    await this.audit.record({
      actor: { kind: 'anonymous' },
      action: 'sign-in.failed',
      ...(user && { target: { type: 'user', id: user.id } }),
    });
    throw new Problem(invalidCredentials);
  }

  /**
   * Signs somebody in who has proved to be this account, in whatever way, unless it asks for a second
   * proof. Proving takes a while: whoever changes the password meanwhile, or disables the account, ends
   * all sessions with it, so this one begins before that, or not at all.
   *
   * @throws Problem `totp-required`, with what the second step needs; `invalid-credentials` when the
   *   account was changed or disabled meanwhile
   */
  async enter(user: User): Promise<SignIn> {
    const found = await this.entrance.admit(user);
    if (!found) throw new Problem(invalidCredentials);
    if ('secretId' in found) throw this.secondFactors.required(user, found.secretId);
    return this.answers.ofStudio(found.session, found.studio);
  }

  /**
   * {@link enter} for who has brought all proofs.
   *
   * @param first what the transaction of the session does before it begins; it may refuse it, or write
   *   a mail down
   * @throws Problem `invalid-credentials` when the account was changed or disabled meanwhile
   */
  async enterWith(
    { id, passwordHash }: User,
    first: (em: EntityManager, held: User) => Promise<OutgoingMail | undefined>,
  ): Promise<SignIn> {
    const { session, mail } = await this.em.transactional(async (em) => {
      const held = await em.findOne(
        User,
        { id, passwordHash, disabledAt: null },
        { lockMode: LockMode.PESSIMISTIC_READ, refresh: true },
      );
      if (!held) throw new Problem(invalidCredentials);
      const mail = await first(em, held);
      return { session: this.sessions.begin(em, held), mail };
    });
    if (mail) await this.mail.handOver(mail);
    return this.answers.of(session);
  }

  /** @throws Problem `invalid-refresh-token` */
  async refresh(refreshToken: string): Promise<SignIn> {
    return this.answers.of(await this.sessions.refresh(refreshToken));
  }

  /** Ends the session of who is signed in, and that of the refresh token, as far as there are any. */
  async logout(user: Principal | undefined, refreshToken: string | undefined): Promise<void> {
    if (user) await this.sessions.signOut(user);
    if (refreshToken !== undefined) await this.sessions.signOutByToken(refreshToken);
  }

  /** Takes the same work whether there is such an account or not. */
  private async check(email: string, password: string) {
    const user = await this.users.findByEmail(email);
    const isPassword = await this.passwords.verify(user?.passwordHash, password);
    return { user, isRight: isPassword && !user?.isDisabled };
  }
}
