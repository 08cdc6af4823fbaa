import { Injectable } from '@nestjs/common';
import { AuditLog } from '../../core/audit/audit-log.js';
import { Problem } from '../../core/problems/problem.js';
import type { SignIn } from '../sign-in/sign-in-answers.js';
import { SignInService } from '../sign-in/sign-in.service.js';
import type { User } from '../users/user.entity.js';
import type { FlowState } from './flow-states.js';
import { GoogleAccounts } from './google-accounts.service.js';
import { GoogleFlow } from './google-flow.js';
import type { GoogleIdentity } from './google-identity.js';
import { accountDisabled, invalidState } from './google.problems.js';
import type { GoogleCallback, GoogleToken } from './google.schema.js';
import { IdTokens } from './id-tokens.js';

/** Signing in, and registering, as who somebody is at Google. */
@Injectable()
export class GoogleSignIn {
  constructor(
    private readonly flow: GoogleFlow,
    private readonly idTokens: IdTokens,
    private readonly accounts: GoogleAccounts,
    private readonly signIns: SignInService,
    private readonly audit: AuditLog,
  ) {}

  /**
   * For a browser that is back from Google.
   *
   * @param kept what it was sent there with
   * @throws Problem of {@link GoogleFlow.finish} or {@link GoogleAccounts.findOrCreate}, `account-disabled`
   */
  async byFlow(callback: GoogleCallback, kept: FlowState | undefined): Promise<SignIn> {
    const user = await this.userOf(async () => {
      if (!kept) throw new Problem(invalidState);
      return this.flow.finish(callback, kept);
    });
    return this.signIns.enter(user);
  }

  /**
   * For an app that has signed somebody in to Google by itself.
   *
   * @throws Problem of {@link IdTokens.read} or {@link GoogleAccounts.findOrCreate}, `account-disabled`
   */
  async byToken(given: GoogleToken): Promise<SignIn> {
    const user = await this.userOf(() => this.idTokens.read(given));
    return this.signIns.enter(user);
  }

  private async userOf(prove: () => Promise<GoogleIdentity>): Promise<User> {
    try {
      const user = await this.accounts.findOrCreate(await prove());
      if (user.isDisabled) throw new Problem(accountDisabled);
      return user;
    } catch (error) {
      if (error instanceof Problem && !error.isFault) await this.rememberFailure(error);
      throw error;
    }
  }

  private rememberFailure({ code }: Problem): Promise<void> {
    return this.audit.record({
      actor: { kind: 'anonymous' },
      action: 'sign-in.failed',
      after: { with: 'google', because: code },
    });
  }
}
