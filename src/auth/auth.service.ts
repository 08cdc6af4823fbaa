import { Inject, Injectable } from '@nestjs/common';
import { UniqueConstraintViolationException } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { ENV, type Env } from '../core/env.js';
import { Problem } from '../core/problems/problem.js';
import { parseOrRefuse } from '../core/http/validation.js';
import { AccessTokens } from './access-tokens.js';
import { emailTaken, invalidCredentials } from './auth.problems.js';
import {
  type Login,
  newPassword,
  presentStudio,
  presentUser,
  type Register,
  type SignInAnswer,
} from './auth.schema.js';
import { hashPassword, verifyPassword } from './passwords.js';
import { Studio, StudioMember } from './studio.entity.js';
import { User } from './user.entity.js';

/** Accounts and signing in with a password. */
@Injectable()
export class AuthService {
  constructor(
    private readonly em: EntityManager,
    private readonly tokens: AccessTokens,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * Makes an account, and for a studio the studio that it owns, in one transaction.
   *
   * @throws Problem `email-taken`
   */
  async register({ email, password, name, kind }: Register): Promise<SignInAnswer> {
    parseOrRefuse(newPassword(this.env.PASSWORD_MIN_LENGTH), password, 'body.password');
    const passwordHash = await hashPassword(password);
    const user = new User({ email, passwordHash, firstName: kind === 'personal' ? name : null });
    const membership =
      kind === 'studio' ? new StudioMember(new Studio(name), user, 'OWNER') : undefined;
    try {
      await this.em.transactional((em) => {
        em.persist(membership ?? user);
      });
    } catch (error) {
      if (error instanceof UniqueConstraintViolationException) {
        throw new Problem(emailTaken, undefined, { cause: error });
      }
      throw error;
    }
    return this.signIn(user, membership);
  }

  /** @throws Problem `invalid-credentials` */
  async login({ email, password }: Login): Promise<SignInAnswer> {
    const user = await this.em.findOne(User, { email, disabledAt: null });
    if (!(await verifyPassword(user?.passwordHash, password)) || !user) {
      throw new Problem(invalidCredentials);
    }
    const membership = await this.em.findOne(
      StudioMember,
      { user },
      { populate: ['studio'], orderBy: { createdAt: 'asc' } },
    );
    return this.signIn(user, membership ?? undefined);
  }

  private signIn(user: User, membership: StudioMember | undefined): SignInAnswer {
    return {
      accessToken: this.tokens.sign({
        sub: user.id,
        roles: user.roles,
        ...(membership && { studioId: membership.studio.id }),
      }),
      tokenType: 'Bearer',
      expiresIn: this.tokens.lifetimeSeconds,
      user: presentUser(user),
      ...(membership && {
        studio: presentStudio(membership.studio, membership.role),
      }),
    };
  }
}
