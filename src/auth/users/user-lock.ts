import { LockMode } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { Actor } from '../../core/audit/audit-log.js';
import { forbidden, notFound, Problem, unauthenticated } from '../../core/problems/problem.js';
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
  const user = await lockEnabledUser(em, id, lockMode);
  if (!user) throw new Problem(unauthenticated);
  return user;
}

/** {@link lockUser} for who answers otherwise. @returns null when the account is erased or disabled */
export function lockEnabledUser(
  em: EntityManager,
  id: string,
  lockMode: UserLock,
): Promise<User | null> {
  return em.findOne(User, { id, disabledAt: null }, { lockMode, refresh: true });
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

/**
 * Locks an account and the administrator who acts on it, in the order of their ids, so that two who act
 * on each other do not wait for each other.
 *
 * @throws Problem `forbidden` when who acts is no administrator any more; `not-found`, also for who was
 *   erased
 */
export async function lockGoverned(em: EntityManager, actor: Actor, id: string): Promise<User> {
  const ids = actor.kind === 'user' ? [actor.id, id] : [id];
  const held = await em.find(
    User,
    { id: { $in: ids }, erasedAt: null },
    { orderBy: { id: 'asc' }, lockMode: LockMode.PESSIMISTIC_WRITE, refresh: true },
  );
  const administrator = held.find((user) => isSelf(actor, user.id));
  const isAllowed = administrator?.isAdmin === true && !administrator.isDisabled;
  // Both were true when the request came.
  if (actor.kind === 'user' && !isAllowed) throw new Problem(forbidden);
  const user = held.find((each) => each.id === id);
  if (!user) throw new Problem(notFound);
  return user;
}

export function isSelf(actor: Actor, id: string): boolean {
  return actor.kind === 'user' && actor.id === id;
}
