import { defineEntity, p } from '@mikro-orm/core';
import { TotpSecret } from './totp-secret.entity.js';

const RecoveryCodeSchema = defineEntity({
  name: 'RecoveryCode',
  tableName: 'recovery_codes',
  comment: 'What stands in for a lost authenticator, each once: those that were not used yet',
  properties: {
    secret: () => p.manyToOne(TotpSecret).primary().deleteRule('cascade'),
    /** SHA-256 with the id of the secret, in hex. */
    codeHash: p.string().length(64).primary(),
  },
});

export class RecoveryCode extends RecoveryCodeSchema.class {
  constructor(secret: TotpSecret, codeHash: string) {
    super();
    this.secret = secret;
    this.codeHash = codeHash;
  }
}
RecoveryCodeSchema.setClass(RecoveryCode);
