import { spawn, type SpawnOptions } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CannotStart } from '../core/process/cannot-start.js';
import { type PostgresBinaries, SERVER_ENV, type ServerUser } from './postgres-binaries.js';
import { readPrivateJson, syncDirectory, writePrivateJson } from './private-file.js';

/** Role names of the database, by what they are for. */
export const ROLES = { superuser: 'postgres', owner: 'atelier_owner', app: 'atelier_app' } as const;

export type DatabaseRole = keyof typeof ROLES;

const recordSchema = z.object({
  port: z.int().optional(),
  passwords: z.object({ superuser: z.string(), owner: z.string(), app: z.string() }),
});

type ClusterRecord = z.output<typeof recordSchema>;

/** `nobody`: PostgreSQL refuses to run as root, and initdb as a user without a name. */
const UNPRIVILEGED = 65_534;

const UNFINISHED = 'postgres.new-';

/**
 * The files of one PostgreSQL server: the data directory `DATA_DIR/postgres`, and `postgres.json`
 * beside it with the passwords and the port, which only our user can read.
 */
export class PostgresCluster {
  readonly directory: string;
  readonly user: ServerUser;
  private readonly recordPath: string;
  private record: ClusterRecord;

  constructor(private readonly dataDir: string) {
    this.directory = join(dataDir, 'postgres');
    this.recordPath = join(dataDir, 'postgres.json');
    this.user = this.serverUser();
    this.record = this.readRecord();
  }

  get exists(): boolean {
    return statSync(this.directory, { throwIfNoEntry: false }) !== undefined;
  }

  /** The port of the last start. */
  get port(): number | undefined {
    return this.record.port;
  }

  set port(port: number | undefined) {
    if (port === this.record.port) return;
    this.record = { ...this.record, port };
    writePrivateJson(this.recordPath, this.record);
  }

  password(role: DatabaseRole): string {
    return this.record.passwords[role];
  }

  /**
   * Makes the data directory. It gets its name when it is complete, so a start that is killed in
   * the middle leaves nothing that looks like a cluster.
   *
   * @throws CannotStart with what initdb says
   */
  async create(binaries: PostgresBinaries, durable: boolean): Promise<void> {
    await this.removeUnfinished();
    writePrivateJson(this.recordPath, this.record);
    const unfinished = mkdtempSync(join(this.dataDir, UNFINISHED));
    this.giveToServer(unfinished);
    try {
      await this.initdb(binaries.initdb, unfinished, durable);
      renameSync(unfinished, this.directory);
      if (durable) syncDirectory(this.dataDir);
    } catch (error) {
      await this.removeUnfinished();
      throw error;
    }
  }

  /**
   * How a server program is told where its data is.
   *
   * Root's server runs as another user, who often cannot walk to DATA_DIR, whose folders may be
   * root's alone. It need not: it is put there while it still is root, and Linux leads from
   * `/proc/self/cwd` straight to where a process stands. So data stays in DATA_DIR, no folder is
   * opened up, and an emptied DATA_DIR is an empty cluster.
   */
  placement(directory = this.directory): { argument: string; options: SpawnOptions } {
    const options = { ...this.user, env: SERVER_ENV, detached: true };
    return this.user.uid !== undefined && process.platform === 'linux'
      ? { argument: '/proc/self/cwd', options: { ...options, cwd: directory } }
      : { argument: directory, options: { ...options, cwd: '/' } };
  }

  private serverUser(): ServerUser {
    if (process.getuid?.() !== 0) return {};
    const existing = statSync(this.directory, { throwIfNoEntry: false });
    if (existing && existing.uid !== 0) return { uid: existing.uid, gid: existing.gid };
    return { uid: UNPRIVILEGED, gid: UNPRIVILEGED };
  }

  private readRecord(): ClusterRecord {
    const record = readPrivateJson(this.recordPath, recordSchema);
    if (record) return record;
    if (this.exists) {
      throw new CannotStart(
        `${this.directory} is a database whose passwords, ${this.recordPath}, are missing: ` +
          'restore them from a backup, or remove both to start with an empty database.',
      );
    }
    const password = () => randomBytes(24).toString('base64url');
    return { passwords: { superuser: password(), owner: password(), app: password() } };
  }

  /** An initdb whose parent was killed may still be at work there, and tidies up when it fails. */
  private async removeUnfinished(): Promise<void> {
    const names = readdirSync(this.dataDir).filter((name) => name.startsWith(UNFINISHED));
    for (const name of names) {
      await rm(join(this.dataDir, name), { recursive: true, force: true, maxRetries: 5 });
    }
  }

  private async initdb(program: string, directory: string, durable: boolean): Promise<void> {
    const { argument, options } = this.placement(directory);
    const passwordFile = this.openPasswordFile();
    const flags = [
      `--pgdata=${argument}`,
      `--username=${ROLES.superuser}`,
      '--auth=scram-sha-256',
      '--pwfile=/dev/fd/3',
      '--encoding=UTF8',
      // PostgreSQL's own C.UTF-8 sorts and folds the same on every machine and after every upgrade
      // of the system's C library, which would silently break indexes.
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      '--no-instructions',
      ...(durable ? [] : ['--no-sync']),
    ];
    try {
      await runToEnd(program, flags, {
        ...options,
        stdio: ['ignore', 'pipe', 'pipe', passwordFile],
      });
    } finally {
      closeSync(passwordFile);
    }
  }

  /** A real file, since a pipe of ours cannot be opened by another user; its name goes at once. */
  private openPasswordFile(): number {
    const path = join(this.dataDir, 'postgres.password');
    rmSync(path, { force: true });
    writeFileSync(path, `${this.password('superuser')}\n`, { mode: 0o600, flag: 'wx' });
    this.giveToServer(path);
    const file = openSync(path, 'r');
    rmSync(path);
    return file;
  }

  private giveToServer(path: string): void {
    const { uid, gid } = this.user;
    if (uid === undefined || gid === undefined) return;
    try {
      chownSync(path, uid, gid);
    } catch (error) {
      throw new CannotStart(
        `Root cannot hand ${path} to the user that PostgreSQL runs as (${(error as Error).message}). ` +
          'Run as an ordinary user, or set DATA_DIR on a local disk.',
      );
    }
  }
}

function runToEnd(program: string, flags: string[], options: SpawnOptions): Promise<void> {
  return new Promise((done, failed) => {
    const child = spawn(program, flags, options);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    child.once('error', failed);
    child.once('close', (code, signal) => {
      if (code === 0) done();
      else {
        const how = signal ?? `exit code ${code ?? 'unknown'}`;
        failed(new CannotStart(`PostgreSQL's initdb failed (${how}):\n${output.trim()}`));
      }
    });
  });
}
