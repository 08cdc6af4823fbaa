import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import type { Person, PersonalDataPart } from '../../core/personal-data/personal-data.js';
import { RecoveryCode } from './codes/recovery-code.entity.js';
import { TotpSecret } from './codes/totp-secret.entity.js';

/** Whether a person signs in with an authenticator, and since when. */
@Injectable()
export class SecondFactorPersonalData implements PersonalDataPart {
  readonly name = 'secondFactors';

  constructor(private readonly em: EntityManager) {}

  async *export({ id: user }: Person): AsyncGenerator<object> {
    const em = this.em.fork();
    const secret = await em.findOne(TotpSecret, { user });
    if (!secret) return;
    const { createdAt, confirmedAt = null, lastTriedAt = null } = secret;
    const recoveryCodesLeft = await em.count(RecoveryCode, { secret });
    yield { kind: 'totp', createdAt, confirmedAt, lastTriedAt, recoveryCodesLeft };
  }

  /** Recovery codes go with it. */
  async erase(em: EntityManager, { id: user }: Person): Promise<void> {
    await em.nativeDelete(TotpSecret, { user });
  }
}
