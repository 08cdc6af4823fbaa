import { Module } from '@nestjs/common';
import { ThrottlerModule } from '@nestjs/throttler';
import { ENV } from '../../core/env.js';
import { Counters } from '../../core/rate-limits/counters.js';
import { RateLimits } from '../../core/rate-limits/rate-limits.js';
import { AccountMailModule } from '../mail/account-mail.module.js';
import { PasswordsModule } from '../passwords/passwords.module.js';
import { SecondFactorModule } from '../second-factor/second-factor.module.js';
import { SessionsModule } from '../sessions/sessions.module.js';
import { AccessTokens } from '../tokens/access-tokens.js';
import { UsersModule } from '../users/users.module.js';
import { Entrance } from './entrance.js';
import { RefreshCookie } from './refresh-cookie.js';
import { SignInAnswers } from './sign-in-answers.js';
import { signInThrottling } from './sign-in-route.js';
import { SignInService } from './sign-in.service.js';

/** What all ways of signing in end with, and what they are built from. */
@Module({
  imports: [
    AccountMailModule,
    PasswordsModule,
    SecondFactorModule,
    SessionsModule,
    ThrottlerModule.forRootAsync({
      inject: [ENV, RateLimits, Counters],
      useFactory: signInThrottling,
    }),
    UsersModule,
  ],
  providers: [AccessTokens, Entrance, RefreshCookie, SignInAnswers, SignInService],
  exports: [
    AccountMailModule,
    PasswordsModule,
    RefreshCookie,
    SecondFactorModule,
    SessionsModule,
    SignInAnswers,
    SignInService,
    UsersModule,
  ],
})
export class SignInModule {}
