import { Readable } from 'node:stream';
import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { PersonalData } from '../../core/personal-data/personal-data.js';
import { type RateLimit, RateLimits } from '../../core/rate-limits/rate-limits.js';
import type { Principal } from '../access/principal.js';
import { User } from '../users/user.entity.js';
import { Profile } from './profile.service.js';

/** An export reads all that there is of an account. */
const EXPORTS: RateLimit = { name: 'exports', perMinute: 5 };

/** All that is held on a person, as one JSON object. */
@Injectable()
export class AccountExport {
  constructor(
    private readonly em: EntityManager,
    private readonly profile: Profile,
    private readonly personalData: PersonalData,
    private readonly limits: RateLimits,
  ) {}

  /**
   * Begins an export. It is made while it is read, so that it takes no more memory for more images,
   * and holds no connection while a slow client reads; what changes meanwhile may be in it or not.
   * One that fails on the way breaks off: what has come is no JSON then.
   *
   * @throws Problem `too-many-requests`
   */
  async begin(principal: Principal): Promise<Readable> {
    await this.limits.count(EXPORTS, principal.userId);
    const { user, account } = await this.describe(principal);
    return Readable.from(this.write(user, account), { objectMode: false });
  }

  private async describe(principal: Principal) {
    const profile = await this.profile.show(principal);
    const user = await this.em.findOneOrFail(User, { id: principal.userId });
    const { googleId = null, emailVerifiedAt = null, updatedAt } = user;
    return { user, account: { ...profile, googleId, emailVerifiedAt, updatedAt } };
  }

  private async *write(person: User, account: object): AsyncGenerator<string> {
    yield `{"exportedAt":${JSON.stringify(new Date())},"account":${JSON.stringify(account)}`;
    for (const { name, items } of this.personalData.sections(person)) {
      yield `,\n${JSON.stringify(name)}:[`;
      let separator = '\n';
      for await (const item of items) {
        yield separator + JSON.stringify(item);
        separator = ',\n';
      }
      yield ']';
    }
    yield '}\n';
  }
}
