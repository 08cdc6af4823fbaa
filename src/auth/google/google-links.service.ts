import { LockMode, raw, UniqueConstraintViolationException } from '@mikro-orm/core';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { Problem, unauthenticated } from '../../core/problems/problem.js';
import type { OutgoingMail } from '../../mail/outgoing-mail.entity.js';
import { AccountNotices } from '../mail/account-notices.js';
import { EmailVerification } from '../mail/verification.service.js';
import { OwnerCheck } from '../passwords/owner-check.js';
import { Session } from '../sessions/session.entity.js';
import { User } from '../users/user.entity.js';
import { lockUnchangedUser, lockUser } from '../users/user-lock.js';
import type { FlowState } from './flow-states.js';
import { GoogleFlow } from './google-flow.js';
import type { GoogleIdentity } from './google-identity.js';
import { googleLinkedMail, googleUnlinkedMail } from './google-mail.texts.js';
import {
  emailUnverified,
  googleLinked,
  googleTaken,
  invalidState,
  lastSignInWay,
} from './google.problems.js';
import type { BeginGoogleLink, GoogleCallback, LinkGoogle, UnlinkGoogle } from './google.schema.js';
import { IdTokens } from './id-tokens.js';

/** Whose account, and the session in which it is changed. */
interface Owner {
  readonly userId: string;
  readonly sessionId: string;
}

/** Which Google account opens an account, as its owner decides. No session ends by it. */
@Injectable()
export class GoogleLinks {
  constructor(
    private readonly em: EntityManager,
    private readonly flow: GoogleFlow,
    private readonly idTokens: IdTokens,
    private readonly ownerCheck: OwnerCheck,
    private readonly verification: EmailVerification,
    private readonly notices: AccountNotices,
    private readonly audit: AuditLog,
  ) {}

  async isLinked({ userId }: Owner): Promise<boolean> {
    const { googleId } = await this.em.findOneOrFail(User, { id: userId });
    return googleId != null;
  }

  /** @throws Problem of {@link OwnerCheck} and {@link IdTokens.read}, or why not: see {@link add} */
  async link(owner: Owner, { password, ...given }: LinkGoogle): Promise<void> {
    await this.requireOwner(owner, password, 'google.link-refused');
    await this.add(owner, await this.idTokens.read(given));
  }

  /**
   * Sends a browser to Google, to link whoever it comes back as.
   *
   * @throws Problem of {@link OwnerCheck}
   */
  async begin(owner: Owner, { password, returnTo }: BeginGoogleLink) {
    const { userId, sessionId } = owner;
    await this.requireOwner(owner, password, 'google.link-refused');
    return this.flow.begin({ returnTo, refreshIn: 'body', link: { userId, sessionId } });
  }

  /** @throws Problem of {@link GoogleFlow.finish}, or why not: see {@link add} */
  async finish(callback: GoogleCallback, kept: FlowState): Promise<void> {
    if (!kept.link) throw new Problem(invalidState);
    await this.add(kept.link, await this.flow.finish(callback, kept));
  }

  /**
   * To unlink twice is no error.
   *
   * @throws Problem `last-sign-in-way`, or of {@link OwnerCheck}
   */
  async unlink(owner: Owner, { password }: UnlinkGoogle): Promise<void> {
    const { userId } = owner;
    const user = await this.requireOwner(owner, password, 'google.unlink-refused');
    const { googleId } = user;
    if (googleId == null) return;
    if (!user.hasPassword) throw new Problem(lastSignInWay);
    const notice = await this.em.transactional(async (em) => {
      const linked = await lockUnchangedUser(em, user, LockMode.PESSIMISTIC_WRITE);
      if (linked.googleId !== googleId) return undefined;
      linked.googleId = null;
      this.audit.add(em, {
        actor: { kind: 'user', id: userId },
        action: 'google.unlinked',
        target: { type: 'user', id: userId },
        before: { googleId },
      });
      return this.notices.add(em, googleUnlinkedMail, linked);
    });
    await this.notices.handOver(notice);
  }

  private async requireOwner(
    owner: Owner,
    password: string | undefined,
    refused: string,
  ): Promise<User> {
    const user = await this.em.findOneOrFail(User, { id: owner.userId });
    await this.ownerCheck.require(owner, user, { password, refused });
    return user;
  }

  /**
   * Somebody's session may have ended while they were at Google: then nothing is linked.
   *
   * @throws Problem `google-taken`, `google-linked`, `email-unverified`, `unauthenticated`
   */
  private async add(owner: Owner, google: GoogleIdentity): Promise<void> {
    try {
      const notice = await this.em.transactional((em) => this.addIn(em, owner, google));
      await this.notices.handOver(notice);
    } catch (error) {
      if (error instanceof UniqueConstraintViolationException) {
        throw new Problem(googleTaken, undefined, { cause: error });
      }
      throw error;
    }
  }

  private async addIn(
    em: EntityManager,
    owner: Owner,
    google: GoogleIdentity,
  ): Promise<OutgoingMail | undefined> {
    const { googleId } = google;
    const user = await this.lockOwner(em, owner);
    if (user.googleId === googleId) return undefined;
    if (user.googleId != null) throw new Problem(googleLinked);
    // Whoever had an account with somebody else's address would come back by it once that is proved.
    const isProof = google.isEmailVerified && google.email === user.email;
    if (user.emailVerifiedAt == null && !isProof) throw new Problem(emailUnverified);
    if (isProof) this.verification.markVerified(em, user);
    user.googleId = googleId;
    this.audit.add(em, {
      actor: { kind: 'user', id: user.id },
      action: 'google.linked',
      target: { type: 'user', id: user.id },
      after: { by: 'owner', googleId },
    });
    return this.notices.add(em, googleLinkedMail, user);
  }

  private async lockOwner(em: EntityManager, { userId, sessionId }: Owner): Promise<User> {
    const user = await lockUser(em, userId, LockMode.PESSIMISTIC_WRITE);
    const live = { id: sessionId, user: userId, endedAt: null, expiresAt: { $gt: raw('now()') } };
    if ((await em.count(Session, live)) === 0) throw new Problem(unauthenticated);
    return user;
  }
}
