import { LockMode } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { Problem, unauthenticated } from '../../core/problems/problem.js';
import { User } from './user.entity.js';

/**
 * Holds the account of a request for the transaction of `em`, so that nothing is written for one that
 * is erased or disabled at the same time.
 *
 * @param lockMode to change the account itself: PESSIMISTIC_WRITE
 * @throws Problem `unauthenticated` when that has happened since the request began
 */
export async function lockUser(
  em: EntityManager,
  id: string,
  lockMode: LockMode.PESSIMISTIC_READ | LockMode.PESSIMISTIC_WRITE = LockMode.PESSIMISTIC_READ,
): Promise<User> {
  const user = await em.findOne(User, { id, disabledAt: null }, { lockMode, refresh: true });
  if (!user) throw new Problem(unauthenticated);
  return user;
}
