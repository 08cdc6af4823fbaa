import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import supertest from 'supertest';
import { createApp } from '../src/app.js';
import { readEnv } from '../src/core/env.js';
import { newId } from '../src/core/ids.js';
import { createLogger, PinoNestLogger } from '../src/core/process/logging.js';
import { freePort } from './free-port.js';
import { productVariables } from './environment.js';
import { ProductProcess } from './product-process.js';
import { TcpProxy } from './tcp-proxy.js';
import { createDatabase, type TestDatabase } from './test-database.js';

/** Someone who signed in. */
export interface Account {
  email: string;
  password: string;
  token: string;
  refreshToken: string;
  userId: string;
}

interface TestingOptions {
  /** Whether a worker process runs as well. Default: true. */
  worker?: boolean;
  variables?: Record<string, string>;
  /** A migrated database; it is dropped with the app. Default: a clone of the run's. */
  database?: TestDatabase;
  /** Leads the API's way to its database through something of the test's. */
  through?: (databaseUrl: string) => Promise<string>;
}

/** The real product on a database of its own: the API over real HTTP, the worker as a process. */
export class TestingApp {
  private constructor(
    readonly app: NestFastifyApplication,
    readonly database: TestDatabase,
    readonly variables: Record<string, string>,
    readonly url: string,
    public worker: ProductProcess | undefined,
  ) {}

  static async start({
    worker = true,
    variables = {},
    database: given,
    through = async (url) => url,
  }: TestingOptions = {}): Promise<TestingApp> {
    const database = given ?? (await createDatabase());
    const dataDir = await mkdtemp(join(tmpdir(), 'atelier-e2e-'));
    const port = await freePort();
    const all = {
      ...productVariables(database, dataDir),
      PORT: String(port),
      PUBLIC_URL: `http://127.0.0.1:${port}`,
      ...variables,
      DATABASE_URL: await through(database.appUrl),
    };
    const env = readEnv(all);
    const app = await createApp(env, new PinoNestLogger(createLogger(env, 'api')));
    await app.listen(port, '127.0.0.1');
    const process = worker ? await ProductProcess.start('worker', all) : undefined;
    return new TestingApp(app, database, all, `http://127.0.0.1:${port}`, process);
  }

  /** {@link start}, with a proxy of the test's own between the API and its database. */
  static async startBehindProxy(
    options: Omit<TestingOptions, 'through'> = {},
  ): Promise<{ app: TestingApp; proxy: TcpProxy }> {
    let proxy: TcpProxy | undefined;
    const through = async (databaseUrl: string): Promise<string> => {
      const before = await TcpProxy.before(databaseUrl);
      proxy = before.proxy;
      return before.url;
    };
    const app = await TestingApp.start({ ...options, through });
    return { app, proxy: proxy! };
  }

  /** Sends requests to the API. */
  get http() {
    return supertest(this.url);
  }

  /** Sends requests as someone who signed in. */
  as({ token }: Account) {
    return supertest.agent(this.url).set('authorization', `Bearer ${token}`);
  }

  /** Registers a new account. */
  async register(kind: 'studio' | 'personal' = 'personal'): Promise<Account> {
    const email = `${newId()}@example.com`;
    const password = 'correct horse battery';
    const { body } = await this.http
      .post('/api/v1/auth/register')
      .send({ email, password, name: 'Someone', kind })
      .expect(201);
    const { accessToken: token, refreshToken, user } = body;
    return { email, password, token, refreshToken, userId: user.id };
  }

  async startWorker(variables: Record<string, string> = {}): Promise<ProductProcess> {
    this.worker = await ProductProcess.start('worker', { ...this.variables, ...variables });
    return this.worker;
  }

  async close(): Promise<void> {
    await Promise.all([this.worker?.stop(), this.app.close()]);
    await this.database.drop();
    await rm(this.variables['DATA_DIR'] ?? '', { recursive: true, force: true });
  }
}
