import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { MikroORM } from '@mikro-orm/postgresql';
import { newId } from '../src/core/ids.js';
import { FileRemovals } from '../src/storage/file-removals.js';
import { ObjectNotFound, Storage } from '../src/storage/storage.js';
import { imageKey } from '../src/storage/storage-key.js';
import type { KeptFiles } from './kept-files.js';
import { TestingApp } from './testing-app.js';

let app: TestingApp;
let orm: MikroORM;
let storage: Storage;
let removals: FileRemovals;

function newKey(variant = 'large', ids = { userId: newId(), imageId: newId() }): string {
  return imageKey({ ...ids, epochMs: 1_800_000_000_000, variant, ext: 'webp' });
}

async function store(...keys: string[]): Promise<void> {
  for (const key of keys) await storage.uploadBuffer(key, Buffer.from('x'));
}

async function isStored(key: string): Promise<boolean> {
  try {
    return (await storage.head(key)).bytes > 0;
  } catch (error) {
    if (error instanceof ObjectNotFound) return false;
    throw error;
  }
}

function schedule(targets: string[], afterSeconds = 0): Promise<void> {
  return orm.em.fork().transactional((em) => removals.schedule(em, targets, afterSeconds));
}

const waiting = async () =>
  (await app.database.query<{ target: string }>('select target from file_removals')).map(
    ({ target }) => target,
  );

/** How files are removed that were given up, whatever keeps them. Once in each test file. */
export function describeFileRemovals(name: string, make: () => Promise<KeptFiles>): void {
  describe(`on ${name} storage`, () => {
    let kept: KeptFiles;

    beforeAll(async () => {
      kept = await make();
      app = await TestingApp.start({ worker: false, variables: kept.variables });
      orm = app.app.get(MikroORM);
      storage = app.app.get(Storage);
      removals = new FileRemovals(orm.em.fork(), storage);
    });

    afterEach(() => app.database.query('delete from file_removals'));

    afterAll(async () => {
      await app.close();
      await kept.close();
    });

    describe('files that were given up', () => {
      it('go when their time has come, and not before', async () => {
        const [now, later] = [newKey(), newKey()];
        await store(now, later);
        await schedule([now]);
        await schedule([later], 60);

        expect(await removals.removeDue()).toBe(1);
        expect([await isStored(now), await isStored(later)]).toEqual([false, true]);
        expect(await waiting()).toEqual([later]);
      });

      it('stay when the transaction that gave them up is rolled back', async () => {
        const key = newKey();
        await store(key);
        const failing = orm.em.fork().transactional(async (em) => {
          await removals.schedule(em, [key], 0);
          throw new Error('rolled back');
        });
        await expect(failing).rejects.toThrow('rolled back');

        expect(await removals.removeDue()).toBe(0);
        expect(await isStored(key)).toBe(true);
      });

      it('go with their folder, and no file of another', async () => {
        const ids = { userId: newId(), imageId: newId() };
        const folder = [newKey('large', ids), newKey('upload', ids)];
        const neighbour = newKey('large', { ...ids, imageId: newId() });
        await store(...folder, neighbour);
        await schedule([folder[0]!.slice(0, folder[0]!.lastIndexOf('/') + 1)]);
        await removals.removeDue();

        expect(await Promise.all([...folder, neighbour].map(isStored))).toEqual([
          false,
          false,
          true,
        ]);
      });

      it('may be gone already', async () => {
        const key = newKey();
        await schedule([key, key]);
        expect(await removals.removeDue()).toBe(2);
        expect(await waiting()).toEqual([]);
      });

      it('stay when that is taken back in time, in a transaction that is committed', async () => {
        const [kept, given] = [newKey(), newKey()];
        await store(kept, given);
        await schedule([kept, given], 600);
        const failing = orm.em.fork().transactional(async (em) => {
          await removals.cancel(em, [given]);
          throw new Error('rolled back');
        });
        await expect(failing).rejects.toThrow('rolled back');
        await orm.em.fork().transactional((em) => removals.cancel(em, [kept]));
        await app.database.query('update file_removals set due_at = now()');

        expect(await removals.removeDue()).toBe(1);
        expect([await isStored(kept), await isStored(given)]).toEqual([true, false]);
      });

      it('cannot be taken back when their time is near, has come, or is over', async () => {
        const keys = [newKey(), newKey(), newKey()];
        await schedule(keys.slice(0, 1), 30);
        await schedule(keys.slice(1, 2), 0);
        for (const key of keys) {
          const cancelling = orm.em.fork().transactional((em) => removals.cancel(em, [key]));
          await expect(cancelling).rejects.toThrow('being removed');
        }
        expect(await waiting()).toHaveLength(2);
      });

      it('stay when they were given up more than once, and only when all of that is in time', async () => {
        const [kept, other] = [newKey(), newKey()];
        await schedule([kept, kept, other], 600);
        await orm.em.fork().transactional((em) => removals.cancel(em, [kept]));
        expect(await waiting()).toEqual([other]);

        await schedule([kept, kept], 600);
        await schedule([other], 30);
        for (const keys of [[kept, newKey()], [other], [kept, other]]) {
          const cancelling = orm.em.fork().transactional((em) => removals.cancel(em, keys));
          await expect(cancelling).rejects.toThrow('being removed');
        }
        expect(await waiting()).toHaveLength(4);
      });

      it('can go before their time, and leave nothing to do', async () => {
        const [now, later] = [newKey(), newKey()];
        await store(now, later);
        await schedule([now, now, later], 600);
        await removals.removeNow(now);

        expect([await isStored(now), await isStored(later)]).toEqual([false, true]);
        expect(await waiting()).toEqual([later]);
      });

      it('go when their time comes if they cannot before', async () => {
        await schedule(['../no-key'], 600);
        await removals.removeNow('../no-key');
        expect(await waiting()).toEqual(['../no-key']);
      });

      it.each([
        ['committed', false],
        ['rolled back', true],
      ])('are known to go once a transaction that has them stay is %s', async (end, isToGo) => {
        const key = newKey();
        await schedule([key], 600);
        expect(await removals.isScheduled(key)).toBe(true);
        const isCancelled = Promise.withResolvers<undefined>();
        const mayEnd = Promise.withResolvers<undefined>();
        const cancelling = orm.em.fork().transactional(async (em) => {
          await removals.cancel(em, [key]);
          isCancelled.resolve(undefined);
          await mayEnd.promise;
          if (end === 'rolled back') throw new Error(end);
        });
        await isCancelled.promise;
        const answers: boolean[] = [];
        const asking = removals.isScheduled(key).then((answer) => answers.push(answer));
        await sleep(200);
        expect(answers).toEqual([]);
        mayEnd.resolve(undefined);
        await Promise.allSettled([cancelling, asking]);
        expect(answers).toEqual([isToGo]);
      });

      it('hold up no other when one cannot be removed, which is tried again', async () => {
        const key = newKey();
        await store(key);
        await schedule(['../no-key', key]);

        expect(await removals.removeDue()).toBe(1);
        expect(await isStored(key)).toBe(false);
        expect(await waiting()).toEqual(['../no-key']);
        expect(await removals.removeDue()).toBe(0);
        await app.database.query('update file_removals set due_at = now()');
        expect(await removals.removeDue()).toBe(0);
        expect(await waiting()).toEqual(['../no-key']);
      });

      it('are shared by rounds side by side', async () => {
        const keys = Array.from({ length: 150 }, () => newKey());
        await store(...keys);
        await schedule(keys);
        const rounds = await Promise.all(
          Array.from({ length: 4 }, () => new FileRemovals(orm.em.fork(), storage).removeDue()),
        );

        expect(rounds.reduce((sum, count) => sum + count, 0)).toBe(150);
        expect(await waiting()).toEqual([]);
      });
    });
  });
}
