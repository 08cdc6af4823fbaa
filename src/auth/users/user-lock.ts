import { LockMode } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { Problem, unauthenticated } from '../../core/problems/problem.js';
import { wrongPassword } from '../auth.problems.js';
import { User } from './user.entity.js';

type UserLock = LockMode.PESSIMISTIC_READ | LockMode.PESSIMISTIC_WRITE;

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
  lockMode: UserLock = LockMode.PESSIMISTIC_READ,
): Promise<User> {
  const user = await em.findOne(User, { id, disabledAt: null }, { lockMode, refresh: true });
  if (!user) throw new Problem(unauthenticated);
  return user;
}

/**
 * {@link lockUser} once somebody was asked for their password, which takes a while: whoever changes it
 * meanwhile takes from others what they had begun with the one before.
 *
 * @param user as it was when the password was checked
 * @throws Problem `wrong-password` when the account has another one by now; `unauthenticated`
 */
export async function lockUnchangedUser(
  em: EntityManager,
  { id, passwordHash }: User,
  lockMode: UserLock = LockMode.PESSIMISTIC_READ,
): Promise<User> {
  const user = await lockUser(em, id, lockMode);
  if ((user.passwordHash ?? null) !== (passwordHash ?? null)) throw new Problem(wrongPassword);
  return user;
}
