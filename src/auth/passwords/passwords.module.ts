import { Module } from '@nestjs/common';
import { SignInAttempts } from '../sign-in/sign-in-attempts.js';
import { OwnerCheck } from './owner-check.js';
import { Passwords } from './passwords.js';

/** Passwords, and how often they may be guessed. One for each process: it hashes few at once. */
@Module({
  providers: [OwnerCheck, Passwords, SignInAttempts],
  exports: [OwnerCheck, Passwords, SignInAttempts],
})
export class PasswordsModule {}
