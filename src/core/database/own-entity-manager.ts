import { AsyncLocalStorage } from 'node:async_hooks';
import type { EntityManager } from '@mikro-orm/postgresql';

interface Owner {
  readonly main: EntityManager;
  own?: EntityManager;
}

const owners = new AsyncLocalStorage<Owner>();

/**
 * Gives `work`, and everything that it awaits, an EntityManager of its own: nobody else's rows are in
 * it. It is made when it is first asked for, where MikroORM's RequestContext makes one for each
 * request, also for those that send their statements themselves, as lists do.
 */
export function withOwnEntityManager<T>(main: EntityManager, work: () => T): T {
  return owners.run({ main }, work);
}

/** That of the innermost {@link withOwnEntityManager}, as MikroORM's option `context` asks for it. */
export function ownEntityManager(): EntityManager | undefined {
  const owner = owners.getStore();
  if (!owner) return undefined;
  // Else the fork would ask for its context, which is itself.
  owner.own ??= owner.main.fork({ disableContextResolution: true });
  return owner.own;
}
