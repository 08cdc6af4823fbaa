import { Injectable } from '@nestjs/common';

/** Tells a number of each of these users; of whom it tells none, the number is 0. */
export type ReadFigure = (userIds: readonly string[]) => Promise<ReadonlyMap<string, number>>;

/**
 * Numbers that users are shown with, or told, and that are kept by features other than the one that
 * shows them: these register here. In a process without such a feature each number is 0.
 */
@Injectable()
export class UserFigures {
  private readonly readers = new Map<string, ReadFigure>();

  /** @throws Error when another number has the same name */
  register(name: string, read: ReadFigure): void {
    if (this.readers.has(name)) throw new Error(`The figure ${name} is registered twice`);
    this.readers.set(name, read);
  }

  /** One number of one user. */
  async of(name: string, userId: string): Promise<number> {
    return (await this.ofEach(name, [userId])).get(userId) ?? 0;
  }

  /** One number of many users, asked for at once. */
  async ofEach(name: string, userIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    return (await this.readers.get(name)?.(userIds)) ?? new Map<string, number>();
  }
}
