import { Module } from '@nestjs/common';
import { Passwords } from '../passwords/passwords.js';
import { Administrators } from './administrators.service.js';

/** What the operator's tools need of accounts. */
@Module({ providers: [Administrators, Passwords], exports: [Administrators] })
export class AdministratorsModule {}
