import { Injectable, Logger } from '@nestjs/common';
import { EntityManager } from '@mikro-orm/postgresql';
import { newId } from '../core/ids.js';
import { Storage } from './storage.js';

/** The most targets of one round. */
const ROUND_SIZE = 100;
/** After how long a removal that failed, or whose process died, is tried again, in seconds. */
const AGAIN_AFTER_SECONDS = 60;

/**
 * Removes files from storage after the transaction that gave them up, and never before: what is to
 * go is a row of that transaction. A crash in between only delays it.
 *
 * What is about to be stored is written down as well, to be removed later, and taken off by the
 * transaction that gives it its row. So a file without a row is always one that is to go.
 */
@Injectable()
export class FileRemovals {
  private readonly logger = new Logger(FileRemovals.name);

  constructor(
    private readonly em: EntityManager,
    private readonly storage: Storage,
  ) {}

  /**
   * Has files removed once the transaction of `em` is committed.
   *
   * @param targets keys, or folders of a user with a slash at their end
   * @param afterSeconds how long they may still be fetched
   */
  async schedule(em: EntityManager, targets: string[], afterSeconds: number): Promise<void> {
    if (targets.length === 0) return;
    const removals = targets.map((target) => ({ id: newId(), target }));
    // As one value: a statement takes 65,535 of them, and an account may have more files.
    await em.execute(
      `insert into file_removals (id, target, due_at)
       select id, target, now() + make_interval(secs => ?)
       from jsonb_to_recordset(?::jsonb) as removal (id uuid, target text)`,
      [afterSeconds, JSON.stringify(removals)],
    );
  }

  /**
   * Has folders go at once that were to stay for who still reads them, when the transaction of `em` is
   * committed. Single files keep their time: something may store them yet.
   *
   * @param folder above those, with a slash at its end
   */
  async hasten(em: EntityManager, folder: string): Promise<void> {
    await em.execute(
      `update file_removals set due_at = now()
       where starts_with(target, ?) and right(target, 1) = '/' and due_at > now()`,
      [folder],
    );
  }

  /**
   * Has files stay after all, when the transaction of `em` is committed.
   *
   * @throws Error when one of them may be on its way out already: its time has come, or is near
   */
  async cancel(em: EntityManager, targets: string[]): Promise<void> {
    if (targets.length === 0) return;
    // A target may have several rows. Not one may stay, and each of them has to be in time.
    const cancelled = await em.execute<{ target: string; is_in_time: boolean }[]>(
      `delete from file_removals where target in (${targets.map(() => '?').join(', ')})
       returning target, due_at > clock_timestamp() + make_interval(secs => ?) as is_in_time`,
      [...targets, AGAIN_AFTER_SECONDS],
    );
    const found = new Set(cancelled.map(({ target }) => target));
    const areAllInTime = cancelled.every(({ is_in_time }) => is_in_time);
    if (!areAllInTime || !targets.every((target) => found.has(target))) {
      throw new Error('The files are being removed.');
    }
  }

  /**
   * Whether a file is to be removed. When a transaction is under way that has it stay, this waits
   * for its outcome.
   */
  async isScheduled(key: string): Promise<boolean> {
    const rows = await this.em.execute(
      `select 1 from file_removals where target = ? for key share`,
      [key],
    );
    return rows.length > 0;
  }

  /** Removes a file before its time. One that cannot be removed now goes when its time comes. */
  async removeNow(key: string): Promise<void> {
    try {
      await this.storage.delete(key);
      await this.em.execute(`delete from file_removals where target = ?`, [key]);
    } catch (error) {
      this.logger.warn({ err: error, key, msg: 'Not removed; it is when its time comes' });
    }
  }

  /** Removes what is due; replicas share the work. @returns how many targets are gone */
  async removeDue(): Promise<number> {
    const due = await this.em.execute<{ id: string; target: string }[]>(
      `update file_removals set due_at = now() + make_interval(secs => ?)
       where id in (select id from file_removals where due_at <= now()
                    order by due_at limit ? for update skip locked)
       returning id, target`,
      [AGAIN_AFTER_SECONDS, ROUND_SIZE],
    );
    const done = await Promise.all(due.map(({ id, target }) => this.remove(id, target)));
    return done.filter((isDone) => isDone).length;
  }

  private async remove(id: string, target: string): Promise<boolean> {
    try {
      for await (const key of this.keysOf(target)) await this.storage.delete(key);
      await this.em.execute(`delete from file_removals where id = ?`, [id]);
      return true;
    } catch (error) {
      this.logger.warn({ err: error, target, msg: 'Not removed; it is tried again' });
      return false;
    }
  }

  private async *keysOf(target: string): AsyncGenerator<string> {
    if (!target.endsWith('/')) {
      yield target;
      return;
    }
    const [, userId = '', ...folder] = target.split('/');
    for await (const { key } of this.storage.list(userId, folder.join('/'))) yield key;
  }
}
