import { Module } from '@nestjs/common';
import { PasswordsModule } from '../passwords/passwords.module.js';
import { Administrators } from './administrators.service.js';

/** What the operator's tools need of accounts. */
@Module({
  imports: [PasswordsModule],
  providers: [Administrators],
  exports: [Administrators],
})
export class AdministratorsModule {}
