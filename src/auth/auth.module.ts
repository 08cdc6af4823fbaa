import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { Principals } from './access/principals.js';
import { RolesGuard } from './access/roles.guard.js';
import { SignedInGuard } from './access/signed-in.guard.js';
import { AuthController } from './auth.controller.js';
import { SessionsController } from './sessions/sessions.controller.js';
import { SessionsModule } from './sessions/sessions.module.js';
import { RefreshCookie } from './sign-in/refresh-cookie.js';
import { SignInAnswers } from './sign-in/sign-in-answers.js';
import { SignInService } from './sign-in/sign-in.service.js';
import { AccessTokens } from './tokens/access-tokens.js';
import { JwtStrategy } from './tokens/jwt.strategy.js';

/** Accounts, signing in, and the guards that close every route. */
@Module({
  imports: [SessionsModule],
  controllers: [AuthController, SessionsController],
  providers: [
    AccessTokens,
    JwtStrategy,
    Principals,
    RefreshCookie,
    SignInAnswers,
    SignInService,
    // In this order: who it is, then what they may.
    { provide: APP_GUARD, useClass: SignedInGuard },
    { provide: APP_GUARD, useClass: RolesGuard },
  ],
})
export class AuthModule {}
