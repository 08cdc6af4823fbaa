import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import { environment } from './environment.js';
import { TestingApp } from './testing-app.js';

let app: TestingApp;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
});

afterAll(() => app.close());

/** Runs the tool as it is in the build, with what the product itself is given. */
async function create(args: string[], input = '', variables: Record<string, string> = {}) {
  const tool = spawn(
    process.execPath,
    [join(environment().build, 'src/admin-create.js'), ...args],
    // The product's own role: the owner's is not needed.
    { env: { ...app.variables, MIGRATION_DATABASE_URL: '', ...variables } },
  );
  tool.stdin.on('error', () => undefined);
  tool.stdin.end(input);
  const [[code], output, errors] = await Promise.all([
    once(tool, 'exit') as Promise<[number | null]>,
    text(tool.stdout),
    text(tool.stderr),
  ]);
  return { code, output, errors };
}

const anEmail = () => `${newId()}@example.com`;
const signIn = (email: string, password: string) =>
  app.http.post('/api/v1/auth/login').send({ email, password });
const audited = (email: string) =>
  app.database.query(
    `select actor_kind, action, before, after
     from audit_entries join audit_details on entry_id = audit_entries.id
     join users on users.id = target_id
     where email = $1 and action like 'user.%' order by audit_entries.created_at`,
    [email],
  );

describe('npm run admin:create', () => {
  it('makes an account whose password it prints', async () => {
    const email = anEmail();
    const { code, output, errors } = await create(['--email', email.toUpperCase()]);
    expect([code, errors]).toEqual([0, '']);
    expect(output).toContain(`${email} is an administrator now`);
    const password = /^Password: (\S{24})$/m.exec(output)?.[1] ?? '';
    const { body } = await signIn(email, password).expect(200);
    expect(body.user).toMatchObject({ email, roles: ['USER', 'ADMIN'], emailVerified: true });
    await app
      .as({ ...body, token: body.accessToken })
      .get('/api/v1/admin/users')
      .expect(200);
    expect(await audited(email)).toEqual([
      {
        ...{ actor_kind: 'system', action: 'user.created', before: null },
        after: { roles: ['USER', 'ADMIN'] },
      },
    ]);
  });

  it('takes a password from standard input, and does not repeat it', async () => {
    const email = anEmail();
    const password = 'correct horse; battery "staple"';
    const made = await create([`--email=${email}`, '--password-stdin'], `${password}\r\n`);
    expect(made.code).toBe(0);
    expect(made.output + made.errors).not.toContain('horse');
    await signIn(email, password).expect(200);
  });

  it('gives the role to an account that is there, which keeps its password', async () => {
    const account = await app.register();
    const { code, output } = await create(['--email', account.email]);
    expect(code).toBe(0);
    expect(output).toContain(`The account of ${account.email} is an administrator’s now.`);
    expect(output).toContain('Nobody has proved');
    expect(output).not.toContain('Password');
    await app.as(account).get('/api/v1/admin/users').expect(200);
    await signIn(account.email, account.password).expect(200);
    expect(await audited(account.email)).toEqual([
      {
        ...{ actor_kind: 'system', action: 'user.role-added' },
        ...{ before: { roles: ['USER'] }, after: { roles: ['USER', 'ADMIN'] } },
      },
    ]);
  });

  it('does no harm when it is run again', async () => {
    const email = anEmail();
    const first = await create(['--email', email]);
    const password = /^Password: (\S+)$/m.exec(first.output)?.[1] ?? '';
    const again = await create(['--email', email, '--password-stdin'], 'another password\n');
    expect(again.code).toBe(0);
    expect(again.output).toBe(
      `${email} is an administrator already.\nIts password was left as it is.\n`,
    );
    await signIn(email, password).expect(200);
    expect(await audited(email)).toHaveLength(1);
  });

  it('makes one account when it is run four times at once', async () => {
    const email = anEmail();
    const runs = await Promise.all(Array.from({ length: 4 }, () => create(['--email', email])));
    expect(runs.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    const passwords = runs.flatMap(({ output }) => /^Password: (\S+)$/m.exec(output)?.[1] ?? []);
    expect(passwords).toHaveLength(1);
    await signIn(email, passwords[0]!).expect(200);
    expect(await audited(email)).toHaveLength(1);
  });

  it('leaves a disabled account as it is, and says so', async () => {
    const account = await app.register();
    await app.database.query('update users set disabled_at = now() where id = $1', [
      account.userId,
    ]);
    const { code, errors } = await create(['--email', account.email]);
    expect(code).toBe(2);
    expect(errors).toContain('is disabled');
    expect(await audited(account.email)).toEqual([]);
  });

  it.each([
    [['--email', 'nobody'], '--email must be an e-mail address.'],
    [[], 'Usage: npm run admin:create'],
    [['--email'], 'Usage: npm run admin:create'],
    [['--emial', 'x@example.com'], 'Usage: npm run admin:create'],
    [['x@example.com'], 'Usage: npm run admin:create'],
    [['--email', 'x@example.com', '--password', 'x'], 'Usage: npm run admin:create'],
    [['--email', 'x@example.com', '--password-stdin=x'], 'Usage: npm run admin:create'],
    [['--email', 'x@example.com', '--password-stdin'], 'No password came'],
    [['--email', 'x@example.com', '--email=y@example.com'], `'--email' is given more than once`],
  ])('refuses %j in plain words', async (args, told) => {
    const { code, output, errors } = await create(args);
    expect([code, output]).toEqual([2, '']);
    expect(errors).toContain(told);
    expect(errors).not.toContain('    at ');
  });

  it('refuses a password that anybody would try, and a database that is not there', async () => {
    const production = { NODE_ENV: 'production', RATE_LIMITS: 'on' };
    for (const password of ['seven77', 'password1']) {
      const args = ['--email', anEmail(), '--password-stdin'];
      const { code, errors } = await create(args, password, production);
      expect([password, code]).toEqual([password, 2]);
      expect(errors).toMatch(/^password: /);
      expect(errors).not.toContain(password);
    }
    const nowhere = { DATABASE_URL: 'postgresql://x:y@127.0.0.1:1/x' };
    const { code, errors } = await create(['--email', anEmail()], '', nowhere);
    expect(code).toBe(2);
    expect(errors).toContain('The database of DATABASE_URL cannot be used');
  });
});
