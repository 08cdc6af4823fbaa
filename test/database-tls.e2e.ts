import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { CertificateAuthority } from './certificates.js';
import { eventually } from './eventually.js';
import { uploadPicture } from './image-requests.js';
import { OwnPostgres } from './own-postgres.js';
import { makePicture } from './pictures.js';
import { ProductProcess } from './product-process.js';
import { TestingApp } from './testing-app.js';

const authority = new CertificateAuthority();
let folder: string;
let postgres: OwnPostgres;
let ca: string;
let otherCa: string;
let app: TestingApp | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atelier-tls-'));
  const server = authority.issue('server', ['localhost']);
  const client = authority.issue('atelier_app');
  const file = async (name: string, content: string): Promise<string> => {
    await writeFile(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  ca = await file('ca.pem', authority.certificate);
  otherCa = await file('other.pem', new CertificateAuthority('Others').certificate);
  await file('client.pem', client.certificate);
  await file('client.key', client.key);

  postgres = await OwnPostgres.start();
  postgres.write('server.crt', server.certificate);
  postgres.write('server.key', server.key);
  postgres.write('root.crt', authority.certificate);
  // The restricted role has to show a certificate, and nobody gets in without TLS but the test.
  postgres.write(
    'pg_hba.conf',
    `hostssl all atelier_app 127.0.0.1/32 scram-sha-256 clientcert=verify-full
     hostssl all atelier_owner 127.0.0.1/32 scram-sha-256
     host all postgres 127.0.0.1/32 scram-sha-256\n`,
  );
  await postgres.query(`alter system set ssl_ca_file = 'root.crt'`);
  await postgres.query('alter system set ssl = on');
  await postgres.query('select pg_reload_conf()');
});

afterAll(async () => {
  await (app?.close() ?? postgres.stop());
  await rm(folder, { recursive: true, force: true });
});

/** The certificate is for localhost, so another name for the same host is a wrong one. */
function secured(url: string, query: Record<string, string>, host = 'localhost'): string {
  const parsed = new URL(url);
  parsed.hostname = host;
  for (const [name, value] of Object.entries(query)) parsed.searchParams.set(name, value);
  return parsed.href;
}

const asClient = () => ({
  sslcert: join(folder, 'client.pem'),
  sslkey: join(folder, 'client.key'),
});

const good = (mode = 'verify-full') => ({
  DATABASE_URL: secured(postgres.url('app'), { sslmode: mode, sslrootcert: ca, ...asClient() }),
  MIGRATION_DATABASE_URL: secured(postgres.url('owner'), { sslmode: mode, sslrootcert: ca }),
});

describe('a PostgreSQL that takes connections with TLS alone', () => {
  it('is migrated, and serves the API and the worker, whose every connection is encrypted', async () => {
    await postgres.migrate(good());
    const urls = good();
    app = await TestingApp.start({
      database: { ...postgres.database(), appUrl: urls.DATABASE_URL },
      variables: urls,
    });
    const account = await app.register();
    const { status } = await uploadPicture(app, account, await makePicture());
    expect(status).toBe(201);

    const sessions = await postgres.query<{ application_name: string; ssl: boolean }>(
      `select distinct application_name, ssl from pg_stat_ssl join pg_stat_activity using (pid)
       where usename = 'atelier_app' order by application_name`,
    );
    expect(sessions).toEqual([
      { application_name: 'atelier', ssl: true },
      { application_name: 'atelier-listen', ssl: true },
      { application_name: 'atelier-queue', ssl: true },
    ]);
  });

  it.each(['require', 'verify-ca', 'prefer'])(
    'takes sslmode=%s for verify-full, without a warning',
    async (mode) => {
      expect(await postgres.migrate(good(mode))).not.toContain('WARNING');
    },
  );
});

describe('a connection that TLS does not vouch for', () => {
  const cases: [string, string, string, () => Record<string, string>, RegExp][] = [
    [
      'main',
      'DATABASE_URL',
      'an authority that did not sign',
      () => ({ sslrootcert: otherCa }),
      /certificate/,
    ],
    [
      'worker',
      'DATABASE_URL',
      'an authority that did not sign',
      () => ({ sslrootcert: otherCa }),
      /certificate/,
    ],
    [
      'migrate',
      'MIGRATION_DATABASE_URL',
      'an authority that did not sign',
      () => ({ sslrootcert: otherCa }),
      /certificate/,
    ],
    [
      'images-verify',
      'DATABASE_URL',
      'an authority that did not sign',
      () => ({ sslrootcert: otherCa }),
      /certificate/,
    ],
    [
      'main',
      'DATABASE_DIRECT_URL',
      'an authority that did not sign',
      () => ({ sslrootcert: otherCa }),
      /certificate/,
    ],
    [
      'main',
      'DATABASE_URL',
      'a file that is not there',
      () => ({ sslrootcert: '/nowhere.pem' }),
      /no such file.*nowhere\.pem/,
    ],
    ['main', 'DATABASE_URL', 'no TLS', () => ({ sslmode: 'disable' }), /no encryption/],
    [
      'worker',
      'DATABASE_URL',
      "no certificate of the client's",
      () => ({ sslcert: '', sslkey: '' }),
      /certificate/,
    ],
  ];

  it.each(cases)('stops %s, naming %s: %s', async (entry, variable, _what, changes, reason) => {
    const urls: Record<string, string> = { ...good(), DATABASE_DIRECT_URL: good().DATABASE_URL };
    urls[variable] = secured(urls[variable] ?? '', changes());
    const { code, output } = await run(entry, urls);
    expect([entry === 'images-verify' ? code === 2 : code === 1, output]).toEqual([
      true,
      expect.stringMatching(`^The database of ${variable} cannot be used: .*`),
    ]);
    expect(output).toMatch(reason);
    expect(output).not.toContain('    at ');
  });

  it('stops the API when the host is not the one of the certificate', async () => {
    const url = secured(good().DATABASE_URL, {}, '127.0.0.1');
    const { code, output } = await run('main', { ...good(), DATABASE_URL: url });
    expect([code, output]).toEqual([1, expect.stringContaining('of DATABASE_URL cannot be used')]);
    expect(output).toMatch(/does not match certificate/);
  });

  it('is encrypted from the first byte when the URL asks for that', async () => {
    const owner = secured(good().MIGRATION_DATABASE_URL, { sslnegotiation: 'direct' });
    await postgres.migrate({ ...good(), MIGRATION_DATABASE_URL: owner });
  });

  it.each(['no-verify'])('gets through with sslmode=%s, because it asks for that', async (mode) => {
    const owner = secured(postgres.url('owner'), { sslmode: mode }, '127.0.0.1');
    await postgres.migrate({ ...good(), MIGRATION_DATABASE_URL: owner });
  });

  it('an address is compared with the addresses of the certificate', async () => {
    const server = authority.issue('server', ['127.0.0.1']);
    postgres.write('server.crt', server.certificate);
    postgres.write('server.key', server.key);
    await postgres.query('select pg_reload_conf()');
    const byAddress = (url: string) => secured(url, {}, '127.0.0.1');
    const { DATABASE_URL, MIGRATION_DATABASE_URL } = good();
    const urls = { DATABASE_URL, MIGRATION_DATABASE_URL: byAddress(MIGRATION_DATABASE_URL) };
    const output = await eventually(
      () => postgres.migrate(urls).catch(String),
      (text) => !text.includes('cannot be used'),
    );
    expect(output).not.toContain('cannot be used');
    const byName = await run('main', good());
    expect([byName.code, byName.output]).toEqual([
      1,
      expect.stringMatching(/DATABASE_URL.*does not match certificate/),
    ]);
  });

  async function run(entry: string, urls: Record<string, string>) {
    if (!app) throw new Error('The first test has not started the product');
    const child = ProductProcess.spawn(entry, { ...app.variables, PORT: '0', ...urls });
    return { code: await child.ended(), output: child.output };
  }
});
