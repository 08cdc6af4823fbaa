import { Module } from '@nestjs/common';
import { OwnerCheck } from './owner-check.js';
import { Passwords } from './passwords.js';
import { SignInAttempts } from './sign-in-attempts.js';

/**
 * Passwords, and how often they may be guessed, or anything else be asked for an account. One for each
 * process: it hashes few at once.
 */
@Module({
  providers: [OwnerCheck, Passwords, SignInAttempts],
  exports: [OwnerCheck, Passwords, SignInAttempts],
})
export class PasswordsModule {}
