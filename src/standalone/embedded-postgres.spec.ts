import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { EmbeddedPostgres } from './embedded-postgres.js';
import type { DatabaseRole } from './postgres-cluster.js';

const isRoot = process.getuid?.() === 0;

describe('EmbeddedPostgres', () => {
  let dataDir: string;
  let running: EmbeddedPostgres[];

  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'atelier-postgres-'));
    running = [];
  });

  afterEach(async () => {
    await Promise.all(running.map((postgres) => postgres.stop('immediate')));
    rmSync(dataDir, { recursive: true });
  });

  async function start(onExit?: (reason: string) => void): Promise<EmbeddedPostgres> {
    const postgres = await EmbeddedPostgres.start({ dataDir, durable: false, onExit });
    running.push(postgres);
    return postgres;
  }

  async function query(postgres: EmbeddedPostgres, role: DatabaseRole, sql: string) {
    const client = new pg.Client({ connectionString: postgres.url(role) });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  it('gives the owner a database and the application no more than a connection', async () => {
    const postgres = await start();
    const settings = `SELECT current_user AS role, current_setting('TimeZone') AS zone,
      (SELECT datlocale FROM pg_database WHERE datname = current_database()) AS locale`;
    expect(await query(postgres, 'app', settings)).toEqual([
      { role: 'atelier_app', zone: 'UTC', locale: 'C.UTF-8' },
    ]);
    await query(postgres, 'owner', 'CREATE SCHEMA inside; CREATE EXTENSION pgcrypto');
    await expect(query(postgres, 'owner', 'CREATE DATABASE other')).rejects.toThrow(/denied/);
    await expect(query(postgres, 'app', 'CREATE TABLE t (i int)')).rejects.toThrow(/denied/);
    await expect(query(postgres, 'app', 'CREATE SCHEMA s')).rejects.toThrow(/denied/);
    await expect(query(postgres, 'app', 'CREATE TEMP TABLE t (i int)')).rejects.toThrow(/denied/);
  });

  it('keeps passwords from others, and nothing unfinished', async () => {
    await start();
    expect(readdirSync(dataDir).sort()).toEqual(['postgres', 'postgres.json']);
    expect(statSync(join(dataDir, 'postgres.json')).mode & 0o777).toBe(0o600);
    expect(statSync(join(dataDir, 'postgres')).mode & 0o777).toBe(0o700);
  });

  it('keeps data and address over a stop and a start', async () => {
    const first = await start();
    await query(first, 'owner', 'CREATE TABLE kept AS SELECT 42 AS answer');
    await first.stop();
    const second = await start();
    expect(await query(second, 'owner', 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    expect(second.url('app')).toBe(first.url('app'));
  });

  it('begins anew in a folder that has been emptied', async () => {
    const first = await start();
    await query(first, 'owner', 'CREATE TABLE gone ()');
    await first.stop();
    for (const name of readdirSync(dataDir)) rmSync(join(dataDir, name), { recursive: true });
    const second = await start();
    await expect(query(second, 'owner', 'TABLE gone')).rejects.toThrow(/does not exist/);
    expect(second.url('app')).not.toBe(first.url('app'));
  });

  it('ends the server that a killed predecessor left', async () => {
    const reasons: string[] = [];
    const left = await start((reason) => reasons.push(reason));
    await query(left, 'owner', 'CREATE TABLE kept ()');
    const next = await start();
    expect(next.pid).not.toBe(left.pid);
    expect(reasons).toEqual(['exit code 0']);
    expect(await query(next, 'owner', 'TABLE kept')).toEqual([]);
  });

  it('starts after a crash, also when the pid of the dead server was given to another', async () => {
    const crashed = await start();
    await crashed.stop('immediate');
    writeFileSync(join(dataDir, 'postgres', 'postmaster.pid'), `${process.pid}\n`);
    expect(await query(await start(), 'app', 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('tells of its end, and starts again where it was', async () => {
    const ended = Promise.withResolvers<string>();
    const postgres = await start(ended.resolve);
    const url = postgres.url('app');
    process.kill(postgres.pid!, 'SIGKILL');
    expect(await ended.promise).toBe('SIGKILL');
    await postgres.restart();
    expect(postgres.url('app')).toBe(url);
    expect(await query(postgres, 'app', 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('does not guess passwords that have been lost', async () => {
    await (await start()).stop();
    rmSync(join(dataDir, 'postgres.json'));
    await expect(start()).rejects.toThrow(/passwords, .*postgres\.json, are missing/);
  });

  (isRoot ? it : it.skip)('serves root in a folder that only root may enter', async () => {
    chmodSync(dataDir, 0o700);
    const postgres = await start();
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect(statSync(join(dataDir, 'postgres')).uid).not.toBe(0);
    expect(await query(postgres, 'app', 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});
