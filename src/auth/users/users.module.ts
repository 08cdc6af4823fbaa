import { Module } from '@nestjs/common';
import { Users } from './users.service.js';

/** Accounts, by what they are known by. */
@Module({ providers: [Users], exports: [Users] })
export class UsersModule {}
