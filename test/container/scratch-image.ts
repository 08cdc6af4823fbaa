import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import {
  chown,
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
} from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import type { Stage, Step } from './dockerfile.js';
import { projectIgnored } from './ignored.js';

const run = promisify(execFile);

/** What the base image brings besides Node: taken from this machine, to be read only. */
const SYSTEM = ['usr', 'bin', 'sbin', 'lib', 'lib64', 'etc'];
const NODE_FOLDER = 'opt/node';
const PATH = `/${NODE_FOLDER}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
/** How this machine reaches the registry; not part of any image. */
const WAY_OUT = /^(NODE_EXTRA_CA_CERTS|npm_config_registry|https?_proxy|no_proxy)$/i;
const OUTPUT_LIMIT = 64 * 1024 * 1024;

/** The stages of a Dockerfile by their names, finished or under way. */
type Made = Map<string, Promise<ScratchImage>>;

interface ImageConfig {
  env: Record<string, string>;
  workdir: string;
  /** uid:gid */
  user: string;
  command: string[];
}

/** Whether a folder can be made the root of a process here: as root on Linux, with mounts of its own. */
export function canMount(): boolean {
  try {
    execFileSync('unshare', ['--mount', '--pid', '--fork', 'true'], { stdio: 'ignore' });
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
}

/**
 * What a Dockerfile says, done step by step without an engine: each stage is a folder, each RUN a
 * process for which that folder is the root. The base image is stood in for by this machine's system
 * and by the Node that runs the tests, so what the base image itself holds is not tried here.
 */
export class ScratchImage {
  private constructor(
    readonly root: string,
    readonly config: ImageConfig,
  ) {}

  /**
   * Makes each stage as soon as what it begins from is there, as engines do.
   *
   * @param folder where all stages are made; the caller removes it
   */
  static async build(stages: Stage[], folder: string): Promise<ScratchImage> {
    const made: Made = new Map();
    const images = stages.map((stage, at) => {
      const image = ScratchImage.make(stage, join(folder, `${at}`), new Map(made));
      if (stage.name) made.set(stage.name, image);
      return image;
    });
    const image = (await Promise.all(images)).at(-1);
    if (!image) throw new Error('There is no stage.');
    return image;
  }

  /** @param made what comes before it */
  private static async make(stage: Stage, root: string, made: Made): Promise<ScratchImage> {
    const image = await ScratchImage.begin(root, await made.get(stage.from));
    for (const step of stage.steps) await image.follow(step, made);
    return image;
  }

  private static async begin(root: string, base?: ScratchImage): Promise<ScratchImage> {
    await mkdir(root, { recursive: true });
    if (base) {
      await copyAll(base.root, root);
      return new ScratchImage(root, structuredClone(base.config));
    }
    for (const name of ['proc', 'dev', 'tmp', 'root']) await mkdir(join(root, name));
    for (const name of SYSTEM) await standIn(root, name);
    await bringNode(join(root, NODE_FOLDER));
    return new ScratchImage(root, { env: { PATH }, workdir: '/', user: '0:0', command: [] });
  }

  private async follow(step: Step, made: Made): Promise<void> {
    const { config } = this;
    if (step.keyword === 'WORKDIR') config.workdir = step.text;
    else if (step.keyword === 'USER') config.user = step.text;
    else if (step.keyword === 'CMD') config.command = step.words;
    else if (step.keyword === 'ENV') Object.assign(config.env, assignments(step.words));
    else if (step.keyword === 'COPY') await this.copy(step, made);
    else if (step.keyword === 'RUN') await this.runStep(step);
    await mkdir(join(this.root, config.workdir), { recursive: true });
  }

  private async copy({ words, flags }: Step, made: Made): Promise<void> {
    const from = flags['from'];
    const context = from ? (await made.get(from))?.root : process.cwd();
    if (!context) throw new Error(`There is no stage ${from ?? ''}.`);
    const isIgnored = projectIgnored();
    const target = words.at(-1) ?? '';
    for (const source of words.slice(0, -1)) {
      const path = join(context, source);
      const isFile = !(await lstat(path)).isDirectory();
      const into = join(this.root, this.config.workdir, target, isFile ? basename(source) : '');
      await mkdir(dirname(into), { recursive: true });
      const filter = (each: string) => !isIgnored(relative(context, each)) || each === path;
      // Of a stage nothing is ignored; Node itself takes half a minute to copy the packages.
      if (from) await copyAll(path, into);
      else await cp(path, into, { recursive: true, verbatimSymlinks: true, filter });
      await run('chown', ['-R', '0:0', into]);
    }
  }

  private async runStep({ text, line }: Step): Promise<void> {
    const wayOut = Object.entries(process.env).filter(([name]) => WAY_OUT.test(name));
    const env = { HOME: '/root', ...Object.fromEntries(wayOut) };
    const child = this.spawn(['/bin/sh', '-c', text], {
      env,
      cache: process.env['npm_config_cache'],
    });
    const code = await child.ended();
    if (code !== 0) throw new Error(`Line ${line} ended with ${code}:\n${child.output}`);
  }

  /** Runs a command as the image's user, by default with the whole root writable, as while building. */
  spawn(
    command: string[],
    {
      env = {},
      cache,
      volumes,
    }: { env?: NodeJS.ProcessEnv; cache?: string; volumes?: Volumes } = {},
  ): ScratchProcess {
    const [uid = '0', gid = '0'] = this.config.user.split(':');
    const script = [
      'set -e',
      'R=$1 DIR=$2 USER_ID=$3 GROUP_ID=$4; shift 4',
      'mount --make-rprivate /',
      'mount --bind "$R" "$R"',
      ...SYSTEM.map((name) => `[ -L "$R/${name}" ] || mount --bind -o ro "/${name}" "$R/${name}"`),
      ...(cache ? [`mkdir -p "$R/root/.npm"; mount --bind '${cache}' "$R/root/.npm"`] : []),
      ...(volumes ? ['mount -o remount,bind,ro "$R"'] : []),
      ...(volumes ? [`mount --bind '${volumes.data}' "$R/data"`] : []),
      ...(volumes ? [`mount --bind '${volumes.tmp}' "$R/tmp"`] : []),
      'mount -t proc proc "$R/proc"',
      'mount --rbind /dev "$R/dev"',
      `exec chroot "$R" /usr/bin/setpriv --reuid "$USER_ID" --regid "$GROUP_ID" --clear-groups ${volumes ? '--no-new-privs --inh-caps=-all --bounding-set=-all' : ''} /bin/sh -c 'cd "$0" && exec "$@"' "$DIR" "$@"`,
    ].join('\n');
    const child = spawn(
      'unshare',
      ['--mount', '--pid', '--fork', '--kill-child=KILL', '/bin/sh', '-c', script, 'sh', this.root]
        .concat([this.config.workdir, uid, gid])
        .concat(command),
      { env: { ...this.config.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    return new ScratchProcess(child);
  }
}

/** What a container may write to. */
export interface Volumes {
  data: string;
  tmp: string;
}

/** Folders that belong to the image's user, as an engine makes them from the image. */
export async function makeVolumes(folder: string, { config }: ScratchImage): Promise<Volumes> {
  const volumes = { data: join(folder, 'data'), tmp: join(folder, 'tmp') };
  const [uid, gid] = config.user.split(':').map(Number);
  for (const path of Object.values(volumes)) {
    await rm(path, { recursive: true, force: true });
    await mkdir(path, { recursive: true, mode: 0o700 });
    await chown(path, uid ?? 0, gid ?? 0);
  }
  return volumes;
}

/** The first process of a scratch container. */
export class ScratchProcess {
  output = '';

  constructor(private readonly child: ChildProcess) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        if (this.output.length < OUTPUT_LIMIT) this.output += text;
      });
    }
  }

  /** To the first process itself, as an engine sends it. */
  signal(signal: NodeJS.Signals): void {
    const first = this.first();
    if (first) process.kill(first, signal);
  }

  /** What the kernel says of the first process. */
  async status(): Promise<string> {
    return readFile(`/proc/${this.first() ?? 0}/status`, 'utf8');
  }

  async ended(): Promise<number | null> {
    if (!this.hasEnded) await once(this.child, 'close');
    return this.child.exitCode;
  }

  /** With the first process end all that it has started. */
  async kill(): Promise<void> {
    if (this.hasEnded) return;
    // It has changed its user, and hears no more of the end of what has started it.
    this.signal('SIGKILL');
    this.child.kill('SIGKILL');
    await this.ended();
  }

  private get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Once there is one. */
  private first(): number | undefined {
    const pid = this.child.pid ?? 0;
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
    return first ? Number(first) : undefined;
  }
}

/** A file, or all that is in a folder, with its links, owners and modes. */
async function copyAll(from: string, to: string): Promise<void> {
  await run('cp', ['-a', '-T', '--reflink=auto', from, to]);
}

/** A link where the machine has one (/bin to /usr/bin), a place to mount it at otherwise. */
async function standIn(root: string, name: string): Promise<void> {
  const info = await lstat(`/${name}`).catch(() => undefined);
  if (info?.isSymbolicLink()) await symlink(await readlink(`/${name}`), join(root, name));
  else if (info) await mkdir(join(root, name));
}

/** Node and npm, where the base image has its own. */
async function bringNode(folder: string): Promise<void> {
  const npm = dirname(dirname(process.env['npm_execpath'] ?? ''));
  await mkdir(join(folder, 'bin'), { recursive: true });
  await cp(process.execPath, join(folder, 'bin/node'));
  await cp(npm, join(folder, 'lib/node_modules/npm'), { recursive: true });
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(folder, 'bin/npm'));
}

function assignments(words: string[]): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf('=');
      return [word.slice(0, at), word.slice(at + 1)];
    }),
  );
}

/** Every file below a folder, with the time of its last change. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
}
