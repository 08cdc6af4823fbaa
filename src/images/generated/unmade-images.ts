import { LockMode } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { Image } from '../image.entity.js';

/**
 * Those of the images that are still to be generated, locked until the transaction of `em` ends: not
 * what was deleted, made or given up meanwhile. By id, so that no two wait for each other.
 */
export function lockUnmade(em: EntityManager, ids: readonly string[]): Promise<Image[]> {
  return em.find(
    Image,
    { id: { $in: [...ids] }, type: 'GENERATED', version: 0, status: ['PENDING', 'PROCESSING'] },
    { lockMode: LockMode.PESSIMISTIC_WRITE, orderBy: { id: 'asc' }, refresh: true },
  );
}
