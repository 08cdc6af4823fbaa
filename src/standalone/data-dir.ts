import { createHash, randomBytes } from 'node:crypto';
import { accessSync, constants, mkdirSync, realpathSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { CannotStart } from '../core/process/cannot-start.js';
import { isOurs, OTHERS_WRITE, readPrivateJson, writePrivateJson } from './private-file.js';

const secretsSchema = z.object({ APP_SECRET: z.string(), JWT_SECRET: z.string() });

const SECRETS_FILE = 'secrets.json';

const portsSchema = z.object({ workerMetrics: z.int().optional() });

const PORTS_FILE = 'ports.json';

/** Whoever restarts us may be a little faster than we are at ending. */
const LOCK_PATIENCE_MS = 2_000;
const LOCK_RETRY_MS = 100;

export type Secrets = z.output<typeof secretsSchema>;

/** What was chosen free; the embedded PostgreSQL records its own. */
export type Ports = z.output<typeof portsSchema>;

/** The folder that holds everything an instance keeps, open in at most one process at a time. */
export class DataDir {
  private constructor(
    /** Absolute, with all links resolved. */
    readonly path: string,
    private readonly lock: Server,
  ) {}

  /**
   * Makes the folder (mode 700) where there is none, and takes it for this process.
   *
   * @throws CannotStart when it cannot be used, others can write to it, or another process has it
   */
  static async open(path: string): Promise<DataDir> {
    const directory = createDirectory(resolve(path));
    const giveUpAt = Date.now() + LOCK_PATIENCE_MS;
    for (;;) {
      const lock = await takeLock(directory);
      if (lock) return new DataDir(directory, lock);
      if (Date.now() > giveUpAt) {
        throw new CannotStart(
          `Atelier is already running on DATA_DIR ${directory}: stop it, or set another DATA_DIR.`,
        );
      }
      await delay(LOCK_RETRY_MS);
    }
  }

  /** The secrets of this instance, made on the first call and kept. */
  secrets(): Secrets {
    const kept = keptSecrets(this.path);
    if (kept) return kept;
    const made = { APP_SECRET: randomSecret(), JWT_SECRET: randomSecret() };
    writePrivateJson(join(this.path, SECRETS_FILE), made);
    return made;
  }

  /** The ports that this instance took last time; what looks for them there finds them again. */
  get ports(): Ports {
    return readPrivateJson(join(this.path, PORTS_FILE), portsSchema) ?? {};
  }

  set ports(ports: Ports) {
    writePrivateJson(join(this.path, PORTS_FILE), ports);
  }

  async close(): Promise<void> {
    await new Promise((closed) => this.lock.close(closed));
  }
}

/**
 * The secrets of the instance in a folder, which another process may have open.
 *
 * @returns undefined when none have been made there
 * @throws CannotStart when they are damaged
 */
export function keptSecrets(path: string): Secrets | undefined {
  return readPrivateJson(join(path, SECRETS_FILE), secretsSchema);
}

function createDirectory(path: string): string {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    const directory = realpathSync(path);
    requireOwnDirectory(directory);
    return directory;
  } catch (error) {
    if (error instanceof CannotStart) throw error;
    throw new CannotStart(`DATA_DIR ${path} cannot be used: ${(error as Error).message}`);
  }
}

/** Whoever can write to it chooses our secrets, and who is administrator. @throws CannotStart */
function requireOwnDirectory(path: string): void {
  const facts = statSync(path);
  if (isOurs(facts) && (facts.mode & OTHERS_WRITE) === 0) return;
  throw new CannotStart(
    `DATA_DIR ${path} belongs to another user, or everybody can write to it: chmod 700, or use another.`,
  );
}

function randomSecret(): string {
  return randomBytes(48).toString('base64url');
}

/**
 * Listens on a socket that belongs to the folder. The kernel gives a lock of this kind back at any
 * death of the process, also at `kill -9`, which a lock file would survive.
 *
 * @returns undefined when another process has it
 */
async function takeLock(directory: string): Promise<Server | undefined> {
  const name = `atelier-${createHash('sha256').update(directory).digest('hex').slice(0, 32)}`;
  // Linux has sockets that are no files. They are seen by one network namespace: containers that
  // share a folder but not a network do not see each other's lock.
  if (process.platform === 'linux') return listen(`\0${name}`);

  const path = join(tmpdir(), `${name}.sock`);
  const lock = await listen(path);
  if (lock || (await answers(path))) return lock;
  rmSync(path, { force: true }); // left by a process that did not end in an orderly way
  return listen(path);
}

function listen(address: string): Promise<Server | undefined> {
  return new Promise((taken, failed) => {
    const server = createServer((probe) => probe.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') taken(undefined);
      else failed(error);
    });
    server.listen(address, () => {
      taken(server.unref());
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => {
      done(false);
    });
  });
}
