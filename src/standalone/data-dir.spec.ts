import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataDir } from './data-dir.js';

describe('DataDir', () => {
  let parent: string;

  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'atelier-data-dir-'));
  });

  afterEach(() => {
    rmSync(parent, { recursive: true });
  });

  it('makes the folder for its owner alone', async () => {
    const dataDir = await DataDir.open(join(parent, 'deep', 'data'));
    expect(dataDir.path).toBe(join(realpathSync(parent), 'deep', 'data'));
    expect(statSync(dataDir.path).mode & 0o777).toBe(0o700);
    await dataDir.close();
  });

  it('is open once at a time, by whatever path, and names itself to the second', async () => {
    const dataDir = await DataDir.open(parent);
    const alias = `${parent}-alias`;
    symlinkSync(parent, alias);
    try {
      await expect(DataDir.open(alias)).rejects.toThrow(
        `Atelier is already running on DATA_DIR ${dataDir.path}`,
      );
      await dataDir.close();
      await (await DataDir.open(alias)).close();
    } finally {
      rmSync(alias);
    }
  });

  it('opens for the next one as soon as it is closed', async () => {
    const dataDir = await DataDir.open(parent);
    const next = DataDir.open(parent);
    await dataDir.close();
    await (await next).close();
  });

  it('is not one that everybody can write to', async () => {
    chmodSync(parent, 0o777);
    await expect(DataDir.open(parent)).rejects.toThrow('everybody can write to it');
  });

  it.each([
    [
      'that everybody can write',
      (path: string) => {
        chmodSync(path, 0o666);
      },
    ],
    [
      'behind a link',
      (path: string) => {
        renameSync(path, `${path}.other`);
        symlinkSync(`${path}.other`, path);
      },
    ],
  ])('takes no secrets from a file %s', async (_how, tamper) => {
    const dataDir = await DataDir.open(parent);
    dataDir.secrets();
    tamper(join(parent, 'secrets.json'));
    expect(() => dataDir.secrets()).toThrow('is not a file that this user alone can write');
    await dataDir.close();
  });

  it('writes its secrets through no link that was there before', async () => {
    const dataDir = await DataDir.open(parent);
    const planted = join(parent, 'planted');
    writeFileSync(planted, 'mine', { mode: 0o666 });
    symlinkSync(planted, join(parent, 'secrets.json.new'));
    dataDir.secrets();
    expect(readFileSync(planted, 'utf8')).toBe('mine');
    expect(lstatSync(join(parent, 'secrets.json')).isFile()).toBe(true);
    await dataDir.close();
  });

  it('keeps its secrets, readable by the owner alone', async () => {
    const dataDir = await DataDir.open(parent);
    const secrets = dataDir.secrets();
    expect(Buffer.byteLength(secrets.APP_SECRET)).toBeGreaterThanOrEqual(32);
    expect(secrets.APP_SECRET).not.toBe(secrets.JWT_SECRET);
    expect(dataDir.secrets()).toEqual(secrets);
    expect(statSync(join(parent, 'secrets.json')).mode & 0o777).toBe(0o600);
    await dataDir.close();
  });

  it('says which file is damaged instead of replacing it', async () => {
    const dataDir = await DataDir.open(parent);
    writeFileSync(join(parent, 'secrets.json'), '{"APP_SECRET":');
    expect(() => dataDir.secrets()).toThrow(/secrets\.json is damaged/);
    await dataDir.close();
  });

  it('says why a path is of no use', async () => {
    const file = join(parent, 'file');
    writeFileSync(file, '');
    await expect(DataDir.open(join(file, 'data'))).rejects.toThrow(/^DATA_DIR .* cannot be used/);
  });
});
