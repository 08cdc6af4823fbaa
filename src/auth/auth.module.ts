import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { AccessModule } from './access/access.module.js';
import { AdminToken } from './access/admin-token.js';
import { RolesGuard } from './access/roles.guard.js';
import { SignedInGuard } from './access/signed-in.guard.js';
import { AccountModule } from './account/account.module.js';
import { AuthController } from './auth.controller.js';
import { GoogleModule } from './google/google.module.js';
import { MembershipsModule } from './memberships/memberships.module.js';
import { StudioMembersGuard } from './memberships/studio-members.guard.js';
import { RecoveryModule } from './recovery/recovery.module.js';
import { SessionsController } from './sessions/sessions.controller.js';
import { SignInModule } from './sign-in/sign-in.module.js';
import { JwtStrategy } from './tokens/jwt.strategy.js';
import { TotpModule } from './totp/totp.module.js';

/** Accounts, the ways to sign in, and the guards that close every route. */
@Module({
  imports: [
    AccessModule,
    AccountModule,
    GoogleModule,
    MembershipsModule,
    RecoveryModule,
    SignInModule,
    TotpModule,
  ],
  controllers: [AuthController, SessionsController],
  providers: [
    AdminToken,
    JwtStrategy,
    // In this order: who it is, what they may, and what they may in the studio that it is about.
    { provide: APP_GUARD, useClass: SignedInGuard },
    { provide: APP_GUARD, useClass: RolesGuard },
    { provide: APP_GUARD, useClass: StudioMembersGuard },
  ],
})
export class AuthModule {}
