import { EntityManager } from '@mikro-orm/postgresql';
import { Studio, StudioMember, type StudioRole } from '../src/auth/users/studio.entity.js';
import { User } from '../src/auth/users/user.entity.js';
import { type Account, type TestingApp } from './testing-app.js';

/** Has somebody work at a studio, for want of a route that does. */
export async function hire(
  app: TestingApp,
  studioId: string,
  { userId }: Account,
  role: StudioRole = 'STAFF',
): Promise<void> {
  const em = app.app.get(EntityManager).fork();
  const studio = await em.findOneOrFail(Studio, { id: studioId });
  const user = await em.findOneOrFail(User, { id: userId });
  await em.persist(new StudioMember(studio, user, role)).flush();
}

/** Registers a studio with its owner. */
export async function aStudio(app: TestingApp): Promise<{ owner: Account; studioId: string }> {
  const owner = await app.register('studio');
  const { body } = await app.as(owner).get('/api/v1/studio').expect(200);
  return { owner, studioId: body.id };
}
