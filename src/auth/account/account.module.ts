import { Module } from '@nestjs/common';
import { SignInModule } from '../sign-in/sign-in.module.js';
import { AccountController } from './account.controller.js';
import { AccountDataModule } from './account-data.module.js';
import { AccountDeletion } from './account-deletion.js';
import { AccountExport } from './account-export.js';
import { PasswordChange } from './password-change.service.js';
import { Profile } from './profile.service.js';

/** One's own account: seen, changed, exported, deleted. */
@Module({
  imports: [AccountDataModule, SignInModule],
  controllers: [AccountController],
  providers: [AccountDeletion, AccountExport, PasswordChange, Profile],
})
export class AccountModule {}
