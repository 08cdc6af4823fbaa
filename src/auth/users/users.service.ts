import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { User } from './user.entity.js';

/** Accounts, by what they are known by. */
@Injectable()
export class Users {
  constructor(private readonly em: EntityManager) {}

  findById(id: string): Promise<User | null> {
    return this.em.findOne(User, { id });
  }

  /** @param email in any capitalisation */
  findByEmail(email: string): Promise<User | null> {
    return this.em.findOne(User, { email: email.toLowerCase() });
  }

  /** @param googleId Google's `sub` */
  findByGoogleId(googleId: string): Promise<User | null> {
    return this.em.findOne(User, { googleId });
  }
}
