import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { ModulesContainer } from '@nestjs/core';
import { openApiText } from '../src/api-document.js';
import { SignInCallsGuard } from '../src/auth/sign-in/sign-in-route.js';
import { TestingApp } from './testing-app.js';

/** Beside other reasons for the same status. */
const ONCE = /^(?!.*(`too-many-requests`).*\1).*`too-many-requests`: /s;
/** Under what Nest keeps the guards of a handler. */
const GUARDS = '__guards__';

let app: TestingApp;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
});

afterAll(() => app.close());

/** The handlers whose calls are counted, named as openapi.json names operations. */
function signInRoutes(): string[] {
  const modules = [...app.app.get(ModulesContainer).values()];
  const controllers = new Set(
    modules.flatMap((module) => [...module.controllers.values()].map(({ metatype }) => metatype)),
  );
  return [...controllers].flatMap((controller) => {
    const { name, prototype } = controller as { name: string; prototype: Record<string, object> };
    const prefix = name.replace(/Controller$/, '').replace(/^./, (first) => first.toLowerCase());
    return Object.getOwnPropertyNames(prototype)
      .filter((method) => {
        const guards = Reflect.getMetadata(GUARDS, prototype[method]!) as unknown[] | undefined;
        return guards?.includes(SignInCallsGuard);
      })
      .map((method) => `${prefix}.${method}`);
  });
}

it('every route that people sign in by says in openapi.json that there can be too many', async () => {
  const { paths } = JSON.parse(await openApiText()) as {
    paths: Record<string, Record<string, { operationId: string; responses: object }>>;
  };
  const operations = Object.values(paths).flatMap((methods) => Object.values(methods));
  const routes = signInRoutes();
  expect(routes).toEqual(expect.arrayContaining(['auth.login', 'auth.register', 'auth.refresh']));
  for (const route of routes) {
    const { responses } = operations.find(({ operationId }) => operationId === route)!;
    expect([route, responses]).toEqual([
      route,
      expect.objectContaining({
        429: expect.objectContaining({
          description: expect.stringMatching(ONCE),
        }),
      }),
    ]);
  }
});
