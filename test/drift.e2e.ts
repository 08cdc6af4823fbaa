import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MikroORM } from '@mikro-orm/postgresql';
import { openApiText } from '../src/api-document.js';
import { configurationPage } from '../src/core/env/configuration-page.js';
import { envExample } from '../src/core/env/example.js';
import { migrationOptions } from '../src/mikro-orm.config.js';
import { createDatabase, type TestDatabase } from './test-database.js';

/** Every method of a path in the document, with where it stands. */
function operations(document: {
  paths: Record<string, Record<string, Record<string, any>>>;
}): [string, Record<string, any>][] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Record<string, any>] => [
      `${method.toUpperCase()} ${path}`,
      operation,
    ]),
  );
}

describe('generated files', () => {
  it('has an openapi.json that is what `npm run openapi` makes', async () => {
    expect(await readFile('openapi.json', 'utf8')).toBe(await openApiText());
  });

  it('has an .env.example that is what `npm run env:example` makes', async () => {
    expect(await readFile('.env.example', 'utf8')).toBe(envExample());
  });

  it('has a docs/configuration.md that is what `npm run env:example` makes', async () => {
    expect(await readFile('docs/configuration.md', 'utf8')).toBe(configurationPage());
  });
});

describe('openapi.json', () => {
  it('gives every operation an id, a summary, its errors, a schema and its security', async () => {
    const document = JSON.parse(await openApiText());
    const ids = new Set<string>();
    for (const [route, operation] of operations(document)) {
      expect([route, operation['summary']]).toEqual([route, expect.stringMatching(/\w/)]);
      expect([route, ids.has(operation['operationId'])]).toEqual([route, false]);
      ids.add(operation['operationId']);
      const security = operation['security'] ?? document.security;
      expect([route, Array.isArray(security)]).toEqual([route, true]);

      const successes = Object.entries<any>(operation['responses']).filter(([status]) =>
        /^[23]/.test(status),
      );
      expect([route, successes.length > 0]).toEqual([route, true]);
      for (const [status, { content }] of successes) {
        const schemas = Object.values<any>(content ?? {}).map(({ schema }) => schema);
        const isBare = /^(204|3..)$/.test(status) || route.startsWith('HEAD ');
        expect([route, status, schemas.length]).toEqual([route, status, isBare ? 0 : 1]);
      }
      const problem = operation['responses'].default.content['application/problem+json'];
      expect([route, problem.schema.$ref]).toEqual([route, '#/components/schemas/Problem']);
    }
    expect(ids.size).toBeGreaterThan(10);
  });

  it('lets answers get new fields, and refuses unknown ones in what is sent', async () => {
    const { schemas } = JSON.parse(await openApiText()).components;
    const closed = Object.keys(schemas).filter((name) =>
      /additional/.test(JSON.stringify(schemas[name])),
    );
    // Those of answers are records, which have a schema for their values.
    expect(closed.sort()).toEqual([
      'AuditEntry',
      'BeginGoogleLink',
      'ChangeEmail',
      'ChangePassword',
      'CoinAdjustment',
      'ConfirmEmail',
      'DeleteAccount',
      'FailedJob',
      'FailedJobSelection',
      'ForgotPassword',
      'Generate',
      'GoogleToken',
      'ImageChanges',
      'ImageUpload',
      'LinkGoogle',
      'Login',
      'ProfileChanges',
      'Readiness',
      'RecoveryCodesRequest',
      'RefreshToken',
      'Register',
      'ResetPassword',
      'RoleToAdd',
      'StudioChanges',
      'StudioMemberChanges',
      'TotpConfirmation',
      'TotpRemoval',
      'TotpRequest',
      'TotpSignIn',
      'UnlinkGoogle',
      'VerifyEmail',
    ]);
    expect(schemas.Readiness.additionalProperties).toBeUndefined();
  });

  it('names the 403 of every route that is an administrator’s', async () => {
    const governed = operations(JSON.parse(await openApiText())).filter(([, { security }]) =>
      security?.some((way: object) => 'adminToken' in way),
    );
    expect(governed.length).toBeGreaterThan(10);
    for (const [route, { responses }] of governed) {
      const told = expect.objectContaining({ description: expect.stringContaining('`forbidden`') });
      expect([route, responses['403']]).toEqual([route, told]);
    }
  });

  it('says `security: []` exactly where nobody has to sign in', async () => {
    const document = JSON.parse(await openApiText());
    const open = operations(document)
      .filter(([, { security }]) => security?.length === 0)
      .map(([route]) => route);
    expect(open.sort()).toEqual([
      'GET /api/v1/auth/google',
      'GET /api/v1/auth/google/callback',
      'GET /api/v1/files/{path}',
      'GET /health',
      'GET /health/capabilities',
      'GET /health/ready',
      'GET /metrics',
      'GET /problems',
      'GET /problems/{code}',
      'OPTIONS /api/v1/images/uploads',
      'POST /api/v1/auth/forgot-password',
      'POST /api/v1/auth/google/token',
      'POST /api/v1/auth/login',
      'POST /api/v1/auth/refresh',
      'POST /api/v1/auth/register',
      'POST /api/v1/auth/reset-password',
      'POST /api/v1/auth/totp',
    ]);
  });
});

describe('migrations', () => {
  let database: TestDatabase;
  let orm: MikroORM;

  beforeAll(async () => {
    database = await createDatabase();
    orm = await MikroORM.init(
      migrationOptions({
        DATABASE_URL: database.appUrl,
        MIGRATION_DATABASE_URL: database.ownerUrl,
      }),
    );
  });

  afterAll(async () => {
    await orm.close();
    await database.drop();
  });

  it('make the tables that the entities describe', async () => {
    expect(await orm.schema.getUpdateSchemaSQL({ wrap: false })).toBe('');
  });

  it('make exactly those tables unlogged whose comment says so', async () => {
    const tables = await database.query<{ name: string; comment: string | null }>(
      `select relname as name, obj_description(oid, 'pg_class') as comment
       from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace
         and (relpersistence = 'u') is distinct from
             coalesce(obj_description(oid, 'pg_class') like 'unlogged%', false)`,
    );
    expect(tables).toEqual([]);
    expect(await database.query(`select 1 from pg_class where relpersistence = 'u'`)).not.toEqual(
      [],
    );
  });

  it('have a snapshot that is up to date', async () => {
    expect(await orm.migrator.checkSchema()).toBe(false);
  });
});
