import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { connectionOptions } from './database-url.js';

const URL_OF = (query: string) => `postgresql://app:p%40ss%25@db.example.com:6432/atelier${query}`;

describe('what a URL says of TLS', () => {
  it.each([
    '',
    '?sslmode=disable',
    '?sslmode=no-verify',
    '?uselibpqcompat=true&sslmode=require',
    '?application_name=x',
  ])('is left to pg when it says %j', (query) => {
    expect(connectionOptions(URL_OF(query))).toEqual({
      connectionString: URL_OF(query),
      ssl: false,
    });
  });

  it.each(['prefer', 'require', 'verify-ca', 'verify-full'])(
    'sslmode=%s checks the host, and leaves the rest of the URL as it is',
    (mode) => {
      const { connectionString, ssl } = connectionOptions(
        URL_OF(`?sslmode=${mode}&application_name=x`),
      );
      expect(connectionString).toBe(URL_OF('?application_name=x'));
      expect(ssl).toEqual({ checkServerIdentity: expect.any(Function) });
    },
  );

  it('ssl=true is TLS that is checked', () => {
    expect(connectionOptions(URL_OF('?ssl=true'))).toEqual({
      connectionString: URL_OF(''),
      ssl: { checkServerIdentity: expect.any(Function) },
    });
  });

  it('TLS from the first byte is asked for with the rest', () => {
    expect(connectionOptions(URL_OF('?sslmode=verify-full&sslnegotiation=direct'))).toEqual({
      connectionString: URL_OF(''),
      sslnegotiation: 'direct',
      ssl: { checkServerIdentity: expect.any(Function) },
    });
  });

  it('names files, which are read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'atelier-url-'));
    const path = (name: string) => join(folder, name);
    for (const name of ['ca', 'cert', 'key']) writeFileSync(path(name), name);
    const { ssl } = connectionOptions(
      URL_OF(`?sslrootcert=${path('ca')}&sslcert=${path('cert')}&sslkey=${path('key')}`),
    );
    expect(ssl).toMatchObject({ ca: 'ca', cert: 'cert', key: 'key' });
    await rm(folder, { recursive: true });
    expect(() => connectionOptions(URL_OF(`?sslrootcert=${path('ca')}`))).toThrow('no such file');
  });
});
