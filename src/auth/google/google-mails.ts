import { Injectable, type OnModuleInit } from '@nestjs/common';
import { AccountNotices } from '../mail/account-notices.js';
import { googleLinkedMail, googleUnlinkedMail } from './google-mail.texts.js';

/** Has the worker write the notices about Google accounts. */
@Injectable()
export class GoogleMails implements OnModuleInit {
  constructor(private readonly notices: AccountNotices) {}

  onModuleInit(): void {
    this.notices.register(googleLinkedMail, googleUnlinkedMail);
  }
}
