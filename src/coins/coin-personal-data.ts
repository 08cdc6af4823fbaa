import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { inPages } from '../core/personal-data/pages.js';
import type { Person, PersonalDataPart } from '../core/personal-data/personal-data.js';
import type { TransferAnswer } from './coins.schema.js';
import { listTransfersBehind } from './transfer.queries.js';

/**
 * What moved the coins of a person. Accounting keeps it without them: the account points to an id that
 * leads to nobody any more, and references name nothing of a person.
 */
@Injectable()
export class CoinPersonalData implements PersonalDataPart {
  readonly name = 'coinTransfers';

  constructor(private readonly em: EntityManager) {}

  export({ id }: Person): AsyncIterable<object> {
    return inPages<TransferAnswer>((last, limit) =>
      listTransfersBehind(this.em.fork().getKysely<unknown>(), id, last, limit),
    );
  }

  /** Why an administrator changed anything is in the audit, and erased there. */
  async erase(): Promise<void> {
    // Nothing that tells of a person.
  }
}
