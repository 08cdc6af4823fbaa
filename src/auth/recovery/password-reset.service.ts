import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { Mail } from '../../mail/mail.service.js';
import { passwordResetMail } from '../mail/account-mail.texts.js';
import { AccountTokens } from '../mail/account-tokens.js';
import { EmailVerification } from '../mail/verification.service.js';
import { Passwords } from '../passwords/passwords.js';
import { SignInAttempts } from '../passwords/sign-in-attempts.js';
import { SecondFactors } from '../second-factor/second-factors.service.js';
import { Sessions } from '../sessions/sessions.service.js';
import type { ResetPassword } from './recovery.schema.js';

/** A new password for who reads the mail of an account, and has forgotten the old one. */
@Injectable()
export class PasswordReset {
  constructor(
    private readonly em: EntityManager,
    private readonly mail: Mail,
    private readonly tokens: AccountTokens,
    private readonly verification: EmailVerification,
    private readonly secondFactors: SecondFactors,
    private readonly sessions: Sessions,
    private readonly passwords: Passwords,
    private readonly attempts: SignInAttempts,
    private readonly audit: AuditLog,
  ) {}

  /**
   * Writes a mail down for an address, whoever has it: the worker looks for its account, and nobody
   * can tell from this answer, or from how long it takes, whether there is one.
   *
   * @throws Problem `mail-not-configured`, `too-many-requests`
   */
  async request(email: string): Promise<void> {
    this.mail.requireConfigured();
    await this.attempts.countCall('password-resets', email);
    const mail = await this.em.transactional((em) => {
      const added = this.mail.add(em, passwordResetMail, { recipient: email, data: {} });
      this.audit.add(em, {
        actor: { kind: 'anonymous' },
        action: 'password.reset-requested',
        target: { type: 'mail', id: added.id },
      });
      return added;
    });
    await this.mail.handOver(mail);
  }

  /**
   * Sets the password, and leaves nothing to whoever had the account before: all sessions are over,
   * all tokens, and no Google account opens it: one of the same address is linked again when its owner
   * signs in with it. When nobody had proved the address until now, it may have been anyone who made
   * the account: then the authenticator that they set up is theirs, and goes, too.
   *
   * @throws Problem `invalid-token`
   */
  async reset({ token, password }: ResetPassword): Promise<void> {
    // Hashing is dear: not for who only guesses.
    await this.tokens.requireGood('reset-password', token);
    const passwordHash = await this.passwords.choose(password, 'body.password');
    await this.em.transactional(async (em) => {
      const { user } = await this.tokens.use(em, 'reset-password', token);
      user.passwordHash = passwordHash;
      user.googleId = null;
      if (user.emailVerifiedAt == null) await this.secondFactors.forget(em, user);
      this.verification.markVerified(em, user);
      await this.tokens.revokeAll(em, user);
      await this.sessions.endAllIn(em, user.id, 'password-changed');
      this.audit.add(em, {
        actor: { kind: 'user', id: user.id },
        action: 'password.reset',
        target: { type: 'user', id: user.id },
      });
    });
  }
}
