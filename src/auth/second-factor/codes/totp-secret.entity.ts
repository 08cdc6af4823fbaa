import { defineEntity, p } from '@mikro-orm/core';
import { newId } from '../../../core/ids.js';
import { User } from '../../users/user.entity.js';

const TotpSecretSchema = defineEntity({
  name: 'TotpSecret',
  tableName: 'totp_secrets',
  comment: 'Authenticators of accounts that sign in with two factors, or are about to',
  properties: {
    /** Another one with each secret. */
    id: p.uuid().primary(),
    user: () => p.oneToOne(User).deleteRule('cascade'),
    /** Encrypted. */
    sealed: p.string().length(255).hidden(),
    createdAt: p.datetime(3),
    /** When a code had shown that an authenticator has it; until then it is asked of nobody. */
    confirmedAt: p.datetime(3).nullable(),
    /** The step of time, by RFC 6238, whose code was used last: neither it nor those before are used again. */
    lastUsedStep: p.integer().nullable(),
    /** How many codes of six digits were tried since one was right. */
    tries: p.integer().default(0),
    lastTriedAt: p.datetime(3).nullable(),
  },
});

export class TotpSecret extends TotpSecretSchema.class {
  /** @param sealed the secret, encrypted for this account */
  constructor(user: User, sealed: string) {
    super();
    this.id = newId();
    this.user = user;
    this.sealed = sealed;
    this.createdAt = new Date();
    this.confirmedAt = null;
    this.lastUsedStep = null;
    this.tries = 0;
    this.lastTriedAt = null;
  }

  /** Whether signing in asks for it. */
  get isOn(): boolean {
    return this.confirmedAt != null;
  }

  /** A code of it came back: from now on signing in asks for one. */
  confirm(): void {
    this.confirmedAt ??= new Date();
  }
}
TotpSecretSchema.setClass(TotpSecret);
