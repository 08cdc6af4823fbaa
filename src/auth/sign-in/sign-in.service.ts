import { LockMode, UniqueConstraintViolationException } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { ENV, type Env } from '../../core/env.js';
import { parseOrRefuse } from '../../core/http/validation.js';
import { Problem } from '../../core/problems/problem.js';
import type { Principal } from '../access/principal.js';
import { emailTaken, invalidCredentials } from '../auth.problems.js';
import { newPassword } from '../passwords/password.schema.js';
import { hashPassword, verifyPassword } from '../passwords/passwords.js';
import { type HeldSession, Sessions } from '../sessions/sessions.service.js';
import { Studio, StudioMember } from '../users/studio.entity.js';
import { User } from '../users/user.entity.js';
import { type SignIn, SignInAnswers } from './sign-in-answers.js';
import type { Login, Register } from './sign-in.schema.js';

/** Registering, and signing in with a password. */
@Injectable()
export class SignInService {
  constructor(
    private readonly em: EntityManager,
    private readonly sessions: Sessions,
    private readonly answers: SignInAnswers,
    private readonly audit: AuditLog,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Makes an account, for a studio the studio that it owns, and a session, in one transaction.
   *
   * @throws Problem `email-taken`
   */
  async register({ email, password, name, kind, language }: Register): Promise<SignIn> {
    parseOrRefuse(newPassword(this.env.PASSWORD_MIN_LENGTH), password, 'body.password');
    const passwordHash = await hashPassword(password);
    const user = new User({
      email,
      passwordHash,
      firstName: kind === 'personal' ? name : null,
      ...(language !== undefined && { language }),
    });
    try {
      const session = await this.em.transactional((em) => {
        em.persist(kind === 'studio' ? new StudioMember(new Studio(name), user, 'OWNER') : user);
        return this.sessions.begin(em, user);
      });
      return await this.answers.of(session);
    } catch (error) {
      if (error instanceof UniqueConstraintViolationException) {
        throw new Problem(emailTaken, undefined, { cause: error });
      }
      throw error;
    }
  }

  /** @throws Problem `invalid-credentials` */
  async login({ email, password }: Login): Promise<SignIn> {
    const user = await this.em.findOne(User, { email });
    const isRight = await verifyPassword(user?.passwordHash, password);
    if (!isRight || !user || user.isDisabled) {
      await this.audit.record({
        actor: { kind: 'anonymous' },
        action: 'sign-in.failed',
        ...(user && { target: { type: 'user', id: user.id } }),
      });
      throw new Problem(invalidCredentials);
    }
    return this.answers.of(await this.beginSession(user));
  }

  /** @throws Problem `invalid-refresh-token` */
  async refresh(refreshToken: string): Promise<SignIn> {
    return this.answers.of(await this.sessions.refresh(refreshToken));
  }

  /** Ends the session of who is signed in, or else that of the refresh token, if there is any. */
  async logout(user: Principal | undefined, refreshToken: string | undefined): Promise<void> {
    if (user) await this.sessions.signOut(user);
    else if (refreshToken !== undefined) await this.sessions.signOutByToken(refreshToken);
  }

  /**
   * Checking a password takes a while. Whoever changes it meanwhile, or disables the account, ends all
   * sessions with it: the lock has this one begin before that, or not at all.
   *
   * @throws Problem `invalid-credentials`
   */
  private beginSession({ id, passwordHash }: User): Promise<HeldSession> {
    return this.em.transactional(async (em) => {
      const user = await em.findOne(
        User,
        { id, passwordHash, disabledAt: null },
        { lockMode: LockMode.PESSIMISTIC_READ, refresh: true },
      );
      if (!user) throw new Problem(invalidCredentials);
      return this.sessions.begin(em, user);
    });
  }
}
