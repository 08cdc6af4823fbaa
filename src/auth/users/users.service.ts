import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { runPrepared } from '../../core/database/prepared.js';
import { ReadDatabase } from '../../core/database/read-database.js';
import type { Page } from '../../core/paging.js';
import { notFound, Problem } from '../../core/problems/problem.js';
import { UserFigures } from '../../core/user-figures.js';
import { StudioMember } from './studio.entity.js';
import { User } from './user.entity.js';
import { listUsers, prepareByEmail } from './user.queries.js';
import type { UserQuery } from './user.schema.js';

/** Accounts, by what they are known by. */
@Injectable()
export class Users {
  private byEmail: ReturnType<typeof prepareByEmail> | undefined;

  constructor(
    private readonly em: EntityManager,
    private readonly lists: ReadDatabase,
    private readonly figures: UserFigures,
  ) {}

  findById(id: string): Promise<User | null> {
    return this.em.findOne(User, { id });
  }

  /**
   * Past any transaction, by a prepared statement: with the password, it is what signing in begins with.
   *
   * @param email in any capitalisation
   */
  async findByEmail(email: string): Promise<User | null> {
    this.byEmail ??= prepareByEmail(this.em);
    const pool = await this.em.getConnection().getNativeClient();
    const [row] = await runPrepared(pool, this.byEmail({ email: email.toLowerCase() }));
    return row ? this.em.map(User, row) : null;
  }

  /** @param googleId Google's `sub` */
  findByGoogleId(googleId: string): Promise<User | null> {
    return this.em.findOne(User, { googleId });
  }

  /** @throws Problem `not-found`, also of who was erased */
  async get(id: string): Promise<User> {
    const user = await this.em.findOne(User, { id, erasedAt: null });
    if (!user) throw new Problem(notFound);
    return user;
  }

  /** A page of accounts, the newest first. */
  async list(query: UserQuery): Promise<Page<User>> {
    const page = await this.lists.read((server) => listUsers(server, query));
    return { ...page, items: page.items.map((row) => this.em.map(User, row)) };
  }

  /** How many coins somebody can spend. */
  coinsOf({ id }: User): Promise<number> {
    return this.figures.of('coins', id);
  }

  /** {@link coinsOf} of many, by their ids. */
  coinsOfEach(users: readonly User[]): Promise<ReadonlyMap<string, number>> {
    return this.figures.ofEach(
      'coins',
      users.map(({ id }) => id),
    );
  }

  /** The studios that somebody works at, with what they are there; the one joined first comes first. */
  membershipsOf(user: User) {
    return this.em.find(
      StudioMember,
      { user },
      { populate: ['studio'], orderBy: { createdAt: 'asc', studio: 'asc' } },
    );
  }
}
