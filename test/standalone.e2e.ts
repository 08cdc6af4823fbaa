import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import supertest from 'supertest';
import { freePort } from './free-port.js';
import { eventually } from './eventually.js';
import { makePicture } from './pictures.js';

const READY = 'Atelier is ready.';

let dataDir: string;
let port: number;
let picture: Buffer;
const started: ChildProcess[] = [];

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'atelier-standalone-'));
  port = await freePort();
  picture = await makePicture({ width: 4000, height: 3000 });
});

afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
});

afterAll(() => rm(dataDir, { recursive: true, force: true }));

/** `npm start`, without what the tests themselves are configured by. */
function npmStart(): { child: ChildProcess; output: () => string } {
  const { PATH, HOME } = process.env;
  const child = spawn('npm', ['start'], {
    env: { PATH, HOME, PORT: String(port), DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return { child, output: () => output };
}

/** What was listed a moment ago may have ended by itself. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function startUntilReady(): Promise<{ child: ChildProcess; output: () => string }> {
  const { child, output } = npmStart();
  await eventually(
    async () => output(),
    (text) => text.includes(READY) || child.exitCode !== null,
    60_000,
  );
  expect(output()).toContain(READY);
  return { child, output };
}

const ADMINISTRATOR_FILE = 'first-administrator.json';

/** How many administrators there are, as the one whose file this is sees them. */
async function signInByFile(text: string): Promise<number> {
  const api = supertest(`http://127.0.0.1:${port}`);
  const { body } = await api.post('/auth/login').type('json').send(text).expect(200);
  const { body: administrators } = await api
    .get('/api/v1/admin/users?role=ADMIN&total=true')
    .set('authorization', `Bearer ${body.accessToken}`)
    .expect(200);
  return administrators.total;
}

/** The worker's own server, at the port that is recorded in the data directory. */
async function workerAnswers(): Promise<{ url: string; status: number; metrics: string }> {
  const ports = JSON.parse(await readFile(join(dataDir, 'ports.json'), 'utf8'));
  const url = `http://127.0.0.1:${ports.workerMetrics}`;
  const ready = await fetch(`${url}/health/ready`);
  const metrics = await fetch(`${url}/metrics`);
  return { url, status: ready.status, metrics: await metrics.text() };
}

/** Every process below one, by the parents that the kernel knows. */
async function descendantsOf(root: number): Promise<number[]> {
  const parents = new Map<number, number>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    const parent = /^\d+ \(.*\) \S (\d+)/s.exec(stat)?.[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const found = [root];
  for (const pid of found) {
    for (const [child, parent] of parents) if (parent === pid) found.push(child);
  }
  return found.slice(1);
}

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

const onLinux = process.platform === 'linux' ? it : it.skip;

describe('npm start', () => {
  onLinux(
    'goes on where it was after a kill -9 of everything, and stops cleanly',
    async () => {
      const { child: first, output: firstOutput } = await startUntilReady();
      // What was just told: the file signs in as it is, and nobody else can read it.
      const file = join(dataDir, ADMINISTRATOR_FILE);
      expect(firstOutput()).toContain(file);
      expect((await stat(file)).mode & 0o777).toBe(0o600);
      const credentials = await readFile(file, 'utf8');
      expect(firstOutput()).not.toContain(JSON.parse(credentials).password);
      expect(await signInByFile(credentials)).toBe(1);
      // The address that was just printed.
      expect((await workerAnswers()).metrics).toContain('nodejs_version_info');
      const api = supertest(`http://127.0.0.1:${port}`);
      const { body: account } = await api
        .post('/auth/register')
        .send({ email: 'test@studio.com', password: 'test123', name: 'Test Studio' })
        .expect(201);
      const signedIn = supertest
        .agent(`http://127.0.0.1:${port}`)
        .set('authorization', `Bearer ${account.accessToken}`);
      const ids: string[] = [];
      for (let i = 0; i < 8; i += 1) {
        const { body } = await signedIn
          .post('/api/v1/images/upload?force=true')
          .attach('image', picture, 'x')
          .expect(202);
        ids.push(body.id);
      }
      const firstWorker = await eventually(workerAnswers, ({ status }) => status === 200);
      expect(firstWorker.status).toBe(200);
      expect(firstWorker.metrics).toContain('atelier_job_duration_seconds');
      const tree = await descendantsOf(first.pid ?? 0);
      expect(tree.length).toBeGreaterThan(3);
      for (const pid of tree) {
        // Only migrating may alter tables: what runs does not know the owner's password.
        const environ = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
        expect(environ).not.toContain('atelier_owner');
      }
      const ended = once(first, 'exit');
      for (const pid of [first.pid ?? 0, ...tree]) killIfThere(pid);
      await ended;

      const { child: second, output: secondOutput } = await startUntilReady();
      expect(secondOutput()).not.toContain(ADMINISTRATOR_FILE);
      expect(await readFile(file, 'utf8')).toBe(credentials);
      expect(await signInByFile(credentials)).toBe(1);
      await rm(file);
      const statuses = await eventually(
        async () => {
          const answers = await Promise.all(ids.map((id) => signedIn.get(`/api/v1/images/${id}`)));
          return answers.map(({ body }) => body.status as string);
        },
        (all) => all.every((status) => status === 'COMPLETED'),
        60_000,
      );
      expect(statuses).toEqual(ids.map(() => 'COMPLETED'));
      // Where a scraper was told to look the first time.
      expect((await workerAnswers()).url).toBe(firstWorker.url);
      const { body } = await api.get('/health/capabilities').expect(200);
      expect(body.capabilities).toContainEqual({
        part: 'database',
        driver: 'postgresql',
        embedded: true,
      });

      const running = await descendantsOf(second.pid ?? 0);
      second.kill('SIGTERM');
      const [code] = (await once(second, 'exit')) as [number | null];
      expect(code).toBe(0);
      expect(running.filter(isAlive)).toEqual([]);
    },
    180_000,
  );

  it('says clearly that another instance has the data directory', async () => {
    await startUntilReady();
    // There is an administrator, though somebody has put away how to sign in.
    expect(await readdir(dataDir)).not.toContain(ADMINISTRATOR_FILE);
    const { child, output } = npmStart();
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).not.toBe(0);
    expect(output()).toContain(dataDir);
    expect(output()).not.toContain('    at ');
  }, 90_000);
});
