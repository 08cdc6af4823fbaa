import { Module } from '@nestjs/common';
import { SignInAttempts } from '../sign-in/sign-in-attempts.js';
import { PasswordCheck } from './password-check.js';
import { Passwords } from './passwords.js';

/** Passwords, and how often they may be guessed. One for each process: it hashes few at once. */
@Module({
  providers: [PasswordCheck, Passwords, SignInAttempts],
  exports: [PasswordCheck, Passwords, SignInAttempts],
})
export class PasswordsModule {}
