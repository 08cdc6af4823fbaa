import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { AccessTokens } from './access-tokens.js';
import { AuthController } from './auth.controller.js';
import { AuthService } from './auth.service.js';
import { JwtStrategy } from './jwt.strategy.js';
import { Principals } from './principals.js';
import { SignedInGuard } from './signed-in.guard.js';

/** Accounts, signing in, and the guard that closes every route. */
@Module({
  controllers: [AuthController],
  providers: [
    AccessTokens,
    AuthService,
    JwtStrategy,
    Principals,
    { provide: APP_GUARD, useClass: SignedInGuard },
  ],
})
export class AuthModule {}
