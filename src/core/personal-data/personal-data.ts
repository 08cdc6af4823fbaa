import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, Logger } from '@nestjs/common';

/** Whose data it is. */
export interface Person {
  /** Of their account. */
  readonly id: string;
  /** The address of their account; null once that is erased. */
  readonly email: string | null;
}

/**
 * Takes what is left to do when an erasure is committed, as no transaction holds it. Nothing may rely on
 * it: the process may be killed before.
 */
export type OnceErased = (work: () => Promise<void>) => void;

/** One kind of thing that is held on people. The feature that owns it registers it. */
export interface PersonalDataPart {
  /** Its key in an export, in camelCase. */
  readonly name: string;

  /**
   * All of it, as the person may see it: no secrets, no hashes, and nothing of other people. It is
   * read in pages, since there may be any number, and outside any transaction.
   */
  export(person: Person): AsyncIterable<object>;

  /**
   * Erases all of it in the transaction of `em`, by statements over sets. The account is locked: what
   * locks it, too, comes before this or finds it erased.
   *
   * It runs again a while later, without the address, for what was under way meanwhile; so twice has
   * to be harmless.
   */
  erase(em: EntityManager, person: Person, onceErased: OnceErased): Promise<void>;
}

/**
 * What all features hold on a person.
 *
 * Parts are taken by their names, in whatever order they were registered: so two erasures take their
 * locks in the same order. Foreign keys ask for none: the account stays as a tombstone, studios go
 * after all parts, and rows that point to those of another part cascade.
 */
@Injectable()
export class PersonalData {
  private readonly logger = new Logger(PersonalData.name);
  private readonly parts = new Map<string, PersonalDataPart>();

  /** @throws Error when another part has the same name */
  register(part: PersonalDataPart): void {
    if (this.parts.has(part.name)) {
      throw new Error(`The personal data ${part.name} are registered twice`);
    }
    this.parts.set(part.name, part);
  }

  /** What to go through for an export: each part with its name. */
  sections(person: Person): { name: string; items: AsyncIterable<object> }[] {
    return this.inOrder().map((part) => ({ name: part.name, items: part.export(person) }));
  }

  /**
   * Erases all parts in the transaction of `em`.
   *
   * @returns what to do once it is committed; it never throws, as the person is erased by then
   */
  async erase(em: EntityManager, person: Person): Promise<() => Promise<void>> {
    const rest: (() => Promise<void>)[] = [];
    for (const part of this.inOrder()) {
      await part.erase(em, person, (work) => rest.push(work));
    }
    return async () => {
      for (const work of rest) {
        await work().catch((error: unknown) => {
          this.logger.warn({ err: error, msg: 'Something is left to the sweeps after an erasure' });
        });
      }
    };
  }

  private inOrder(): PersonalDataPart[] {
    return [...this.parts.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  }
}
