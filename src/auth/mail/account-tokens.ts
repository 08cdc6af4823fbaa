import { createHash, createHmac, type KeyObject } from 'node:crypto';
import { LockMode } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../../core/env.js';
import { Problem } from '../../core/problems/problem.js';
import { purposeKey } from '../../core/purpose-key.js';
import { invalidToken } from '../auth.problems.js';
import type { User } from '../users/user.entity.js';
import { lockEnabledUser } from '../users/user-lock.js';
import { AccountToken, type TokenPurpose } from './account-token.entity.js';

const HOUR_SECONDS = 3_600;

/** How long a token is good from when it was last sent, in seconds: the texts say so, too. */
const LIFETIME_SECONDS: Record<TokenPurpose, number> = {
  'verify-email': 72 * HOUR_SECONDS,
  'reset-password': HOUR_SECONDS,
  'change-email': 24 * HOUR_SECONDS,
};
/** How many tokens of one purpose an account is sent within an hour, whoever asks for more. */
const MOST_AN_HOUR = 5;
/** For how long tokens are kept that are over, in days. */
const KEPT_DAYS = 30;

/** A token, and who is to read about it. */
export interface SentToken {
  readonly text: string;
  /** The language tag of the account. */
  readonly language: string;
}

/** An account whose token was used. */
export interface TokenUse {
  readonly user: User;
  /** The address that the token proves. */
  readonly email: string;
}

/**
 * Keys to accounts, sent by mail. Each is the HMAC of its mail's id: so the mail can be written again
 * by another attempt, with the same token, although only the hash is stored.
 *
 * Whoever changes an account or its tokens locks the account first: none is used twice, and none that
 * was revoked meanwhile.
 */
@Injectable()
export class AccountTokens {
  private readonly key: KeyObject;

  constructor(
    private readonly em: EntityManager,
    @Inject(ENV) env: Env,
  ) {
    this.key = purposeKey(env.APP_SECRET, 'account tokens');
  }

  /** Issues a token with what an EntityManager is about to commit. */
  issue(
    em: EntityManager,
    mail: { id: string; recipient: string },
    { user, purpose }: { user: User; purpose: TokenPurpose },
  ): void {
    em.persist(
      new AccountToken({
        id: mail.id,
        user,
        purpose,
        tokenHash: hashOf(this.textOf(mail.id)),
        email: mail.recipient,
        expiresAt: new Date(Date.now() + LIFETIME_SECONDS[purpose] * 1_000),
      }),
    );
  }

  /**
   * The token of a mail that is about to be sent; its time begins anew.
   *
   * @returns undefined when it was used or revoked, its account is disabled, or has been sent enough
   */
  async toSend(mailId: string, purpose: TokenPurpose): Promise<SentToken | undefined> {
    const text = this.textOf(mailId);
    const [sent] = await this.em.execute<{ language: string }[]>(
      `update account_tokens as token
       set token_hash = ?, expires_at = now() + make_interval(secs => ?)
       from users
       where token.id = ? and token.purpose = ? and token.used_at is null
         and users.id = token.user_id and users.disabled_at is null
         and (select count(*) from account_tokens as earlier
              where earlier.user_id = token.user_id and earlier.purpose = token.purpose
                and earlier.created_at > now() - make_interval(secs => ?)
                and (earlier.created_at, earlier.id) < (token.created_at, token.id)) < ?
       returning users.language`,
      [hashOf(text), LIFETIME_SECONDS[purpose], mailId, purpose, HOUR_SECONDS, MOST_AN_HOUR],
    );
    return sent && { text, language: sent.language };
  }

  /** Whether an account has been issued as many of a purpose as are sent within an hour. */
  async areEnough(em: EntityManager, { id }: User, purpose: TokenPurpose): Promise<boolean> {
    const [issued] = await em.execute<{ count: number }[]>(
      `select count(*)::int as count from account_tokens
       where user_id = ? and purpose = ? and created_at > now() - make_interval(secs => ?)`,
      [id, purpose, HOUR_SECONDS],
    );
    return (issued?.count ?? 0) >= MOST_AN_HOUR;
  }

  /** Makes the token of a mail that is not to be sent good for nothing; it counts as one that was. */
  async withdraw(mailId: string): Promise<void> {
    await this.em.execute(
      'update account_tokens set used_at = now() where id = ? and used_at is null',
      [mailId],
    );
  }

  /** Forgets the token of a mail that is one too many: it is not to count among those that are sent. */
  async forgetUnsent(mailId: string): Promise<void> {
    await this.em.execute('delete from account_tokens where id = ? and used_at is null', [mailId]);
  }

  /** @throws Problem `invalid-token` when it could not be used now either: for what is done before */
  async requireGood(purpose: TokenPurpose, text: string): Promise<void> {
    if (!(await this.findOwner(this.em, purpose, text))) throw new Problem(invalidToken);
  }

  /**
   * Uses a token up in the transaction of `em`, which holds its account from then on.
   *
   * @throws Problem `invalid-token` when it is none, was used, is out of date, or speaks of an address
   *   that is not the account's any more, or of an account that is disabled
   */
  async use(em: EntityManager, purpose: TokenPurpose, text: string): Promise<TokenUse> {
    const userId = await this.findOwner(em, purpose, text);
    if (userId === undefined) throw new Problem(invalidToken);
    return this.useOwn(em, purpose, { token: text, userId });
  }

  /** {@link use} of a token that has to be one of this account. */
  async useOwn(
    em: EntityManager,
    purpose: TokenPurpose,
    { token: text, userId: id }: { token: string; userId: string },
  ): Promise<TokenUse> {
    const user = await lockEnabledUser(em, id, LockMode.PESSIMISTIC_WRITE);
    if (!user) throw new Problem(invalidToken);
    const [used] = await em.execute<{ email: string }[]>(
      `update account_tokens set used_at = now()
       where token_hash = ? and purpose = ? and user_id = ? and ${GOOD}
         and (purpose = 'change-email' or email = ?)
       returning email`,
      [hashOf(text), purpose, id, user.email],
    );
    if (!used) throw new Problem(invalidToken);
    return { user, email: used.email };
  }

  /**
   * Revokes all tokens of an account, whatever for: whoever asked for them may not be who owns it.
   * The transaction of `em` must hold the account.
   */
  async revokeAll(em: EntityManager, { id }: User): Promise<void> {
    await em.execute(
      'update account_tokens set used_at = now() where user_id = ? and used_at is null',
      [id],
    );
  }

  /** @returns how many were forgotten */
  async forgetOld(): Promise<number> {
    const { affectedRows } = await this.em.execute<{ affectedRows: number }>(
      'delete from account_tokens where expires_at < now() - make_interval(days => ?)',
      [KEPT_DAYS],
      'run',
    );
    return affectedRows;
  }

  private async findOwner(
    em: EntityManager,
    purpose: TokenPurpose,
    text: string,
  ): Promise<string | undefined> {
    const [found] = await em.execute<{ userId: string }[]>(
      `select user_id as "userId" from account_tokens
       where token_hash = ? and purpose = ? and ${GOOD}`,
      [hashOf(text), purpose],
    );
    return found?.userId;
  }

  private textOf(mailId: string): string {
    return createHmac('sha256', this.key).update(mailId).digest('base64url');
  }
}

const GOOD = 'used_at is null and expires_at > now()';

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
