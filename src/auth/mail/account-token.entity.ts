import { defineEntity, p } from '@mikro-orm/core';
import { User } from '../users/user.entity.js';

/** What somebody may do who reads the mail of an address. */
const TOKEN_PURPOSES = ['verify-email', 'reset-password', 'change-email'] as const;
export type TokenPurpose = (typeof TOKEN_PURPOSES)[number];

const AccountTokenSchema = defineEntity({
  name: 'AccountToken',
  tableName: 'account_tokens',
  comment: 'Single-use keys to accounts that were sent by mail',
  properties: {
    /** That of the mail that brings it. */
    id: p.uuid().primary(),
    user: () => p.manyToOne(User).deleteRule('cascade'),
    purpose: p.enum(TOKEN_PURPOSES),
    /** SHA-256, in hex. */
    tokenHash: p.string().length(64).unique(),
    /** The address that it was sent to, and that it proves. */
    email: p.string().length(254),
    createdAt: p.datetime(3),
    expiresAt: p.datetime(3).index(),
    /** When it was used, or was to be good no more. */
    usedAt: p.datetime(3).nullable(),
  },
  indexes: [{ properties: ['user', 'purpose', 'createdAt'] }],
});

/** What a new token is made of. */
type NewToken = Pick<AccountToken, 'id' | 'user' | 'purpose' | 'tokenHash' | 'email' | 'expiresAt'>;

export class AccountToken extends AccountTokenSchema.class {
  constructor(token: NewToken) {
    super();
    Object.assign(this, token);
    this.createdAt = new Date();
  }
}
AccountTokenSchema.setClass(AccountToken);
