import { Inject, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { ThrottlerModule } from '@nestjs/throttler';
import { ENV, type Env } from '../core/env.js';
import { Capabilities } from '../core/process/capabilities.js';
import { Counters } from '../core/rate-limits/counters.js';
import { RateLimits } from '../core/rate-limits/rate-limits.js';
import { AdminToken } from './access/admin-token.js';
import { Principals } from './access/principals.js';
import { RolesGuard } from './access/roles.guard.js';
import { SignedInGuard } from './access/signed-in.guard.js';
import { AccountController } from './account/account.controller.js';
import { AccountDataModule } from './account/account-data.module.js';
import { AccountDeletion } from './account/account-deletion.js';
import { AccountExport } from './account/account-export.js';
import { OwnerCheck } from './account/owner-check.js';
import { PasswordChange } from './account/password-change.service.js';
import { Profile } from './account/profile.service.js';
import { AuthController } from './auth.controller.js';
import { FlowStates } from './google/flow-states.js';
import { GoogleConfiguredGuard, signInCapability } from './google/google-configured.guard.js';
import { GoogleFlow } from './google/google-flow.js';
import { GoogleLinksController } from './google/google-links.controller.js';
import { GoogleLinks } from './google/google-links.service.js';
import { GoogleSignInController } from './google/google-sign-in.controller.js';
import { GoogleSignIn } from './google/google-sign-in.service.js';
import { IdTokens } from './google/id-tokens.js';
import { StateCookie } from './google/state-cookie.js';
import { PasswordCheck } from './passwords/password-check.js';
import { MembersController } from './memberships/members.controller.js';
import { MembersService } from './memberships/members.service.js';
import { Memberships } from './memberships/memberships.js';
import { StudioController } from './memberships/studio.controller.js';
import { StudioMembersGuard } from './memberships/studio-members.guard.js';
import { StudioService } from './memberships/studio.service.js';
import { Passwords } from './passwords/passwords.js';
import { AccountMailModule } from './recovery/account-mail.module.js';
import { EmailChangeController } from './recovery/email-change.controller.js';
import { EmailChange } from './recovery/email-change.service.js';
import { PasswordResetController } from './recovery/password-reset.controller.js';
import { PasswordReset } from './recovery/password-reset.service.js';
import { VerificationController } from './recovery/verification.controller.js';
import { EmailVerification } from './recovery/verification.service.js';
import { SecondFactorModule } from './second-factor/second-factor.module.js';
import { TotpSettingsController } from './second-factor/totp-settings.controller.js';
import { TotpSettings } from './second-factor/totp-settings.service.js';
import { TotpSignInController } from './second-factor/totp-sign-in.controller.js';
import { TotpSignIn } from './second-factor/totp-sign-in.service.js';
import { SessionsController } from './sessions/sessions.controller.js';
import { SessionsModule } from './sessions/sessions.module.js';
import { RefreshCookie } from './sign-in/refresh-cookie.js';
import { SignInAnswers } from './sign-in/sign-in-answers.js';
import { SignInAttempts } from './sign-in/sign-in-attempts.js';
import { signInThrottling } from './sign-in/sign-in-route.js';
import { SignInService } from './sign-in/sign-in.service.js';
import { AccessTokens } from './tokens/access-tokens.js';
import { JwtStrategy } from './tokens/jwt.strategy.js';
import { UserAdministration } from './users/user-administration.service.js';
import { Users } from './users/users.service.js';

/** Accounts, signing in, and the guards that close every route. */
@Module({
  imports: [
    AccountDataModule,
    AccountMailModule,
    SecondFactorModule,
    SessionsModule,
    ThrottlerModule.forRootAsync({
      inject: [ENV, RateLimits, Counters],
      useFactory: signInThrottling,
    }),
  ],
  controllers: [
    AuthController,
    SessionsController,
    VerificationController,
    PasswordResetController,
    EmailChangeController,
    TotpSettingsController,
    TotpSignInController,
    GoogleSignInController,
    GoogleLinksController,
    AccountController,
    StudioController,
    MembersController,
  ],
  providers: [
    AccessTokens,
    AccountDeletion,
    AccountExport,
    AdminToken,
    EmailChange,
    EmailVerification,
    FlowStates,
    GoogleConfiguredGuard,
    GoogleFlow,
    GoogleLinks,
    GoogleSignIn,
    IdTokens,
    JwtStrategy,
    OwnerCheck,
    PasswordChange,
    PasswordCheck,
    Memberships,
    MembersService,
    Passwords,
    PasswordReset,
    Principals,
    Profile,
    RefreshCookie,
    SignInAnswers,
    SignInAttempts,
    SignInService,
    TotpSettings,
    TotpSignIn,
    UserAdministration,
    StateCookie,
    StudioService,
    Users,
    // In this order: who it is, what they may, and what they may in the studio that it is about.
    { provide: APP_GUARD, useClass: SignedInGuard },
    { provide: APP_GUARD, useClass: RolesGuard },
    { provide: APP_GUARD, useClass: StudioMembersGuard },
  ],
  exports: [SessionsModule, UserAdministration, Users],
})
export class AuthModule {
  constructor(capabilities: Capabilities, @Inject(ENV) env: Env) {
    capabilities.register(signInCapability(env));
  }
}
