import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EntityManager } from '@mikro-orm/postgresql';
import type { Type } from '@nestjs/common';
import { readEnv } from '../src/core/env.js';
import { Metrics } from '../src/core/metrics/metrics.js';
import { ConversionMetrics } from '../src/images/conversion/conversion-metrics.js';
import { PictureDecoding } from '../src/images/conversion/picture-decoding.js';
import { VersionFiles } from '../src/images/conversion/version-files.js';
import { WorkFolders } from '../src/images/conversion/work-folders.js';
import type { DecoderPool } from '../src/images/decoding/decoder-pool.js';
import { GeneratedFiles } from '../src/images/generated/generated-files.js';
import {
  GeneratedImages,
  type MadePicture,
  type WantedPictures,
} from '../src/images/generated/generated-images.js';
import { type ImageMaker, ImageMakers } from '../src/images/generated/image-makers.js';
import { type Provenance, TRAINED_ALGORITHMIC_MEDIA } from '../src/images/generated/provenance.js';
import { decoderPoolFromSources } from './decoding.js';
import type { Account, TestingApp } from './testing-app.js';

/** Of a model that is one. */
export const TRAINED: Provenance = {
  model: 'test-model-1',
  driver: 'gemini',
  generatedAt: '2026-11-22T07:00:00.000Z',
  digitalSourceType: TRAINED_ALGORITHMIC_MEDIA,
};

/** Of one that paints by rule. */
export const PAINTED: Provenance = {
  ...{ model: 'local-painter-1', driver: 'local', generatedAt: '2026-11-22T07:00:00.000Z' },
  digitalSourceType: null,
};

/**
 * Has pictures made as the job of generation does, each step in a transaction of its own, beside the
 * API of an app. What it locks instead of a row of its own is an advisory lock of each image.
 */
export class TestGeneration implements ImageMaker {
  /** What it was told to give up, call by call. */
  readonly givenUp: string[][] = [];
  /** What it throws when it is told so. */
  refusal: Error | undefined;

  private constructor(
    private readonly em: EntityManager,
    readonly images: GeneratedImages,
    readonly files: GeneratedFiles,
    private readonly decoders: DecoderPool,
    private readonly folder: string,
  ) {}

  static async beside(
    { app, variables }: TestingApp,
    changes: Record<string, string> = {},
  ): Promise<TestGeneration> {
    const of = <T>(type: Type<T>): T => app.get(type, { strict: false });
    const env = readEnv({ ...variables, ...changes });
    const em = of(EntityManager).fork();
    const decoders = decoderPoolFromSources({ size: 2, memoryMb: 4_000 });
    const metrics = new ConversionMetrics(new Metrics());
    const folders = new WorkFolders(env);
    await folders.onModuleInit();
    const decoding = new PictureDecoding(decoders, metrics, env);
    const files = new GeneratedFiles(em, folders, decoding, of(VersionFiles), metrics, env);
    const folder = await mkdtemp(join(tmpdir(), 'models-'));
    const double = new TestGeneration(em, of(GeneratedImages), files, decoders, folder);
    of(ImageMakers).register(double);
    return double;
  }

  async close(): Promise<void> {
    await this.decoders.close();
    await rm(this.folder, { recursive: true });
  }

  /** @returns ids */
  want({ userId }: Account, wanted: Partial<WantedPictures> = {}): Promise<string[]> {
    return this.em.fork().transactional(async (em) => {
      const images = await this.images.create(em, {
        ...{ userId, prompt: 'a fox in the snow', title: null, description: null },
        ...{ visibility: 'private', count: 1, ...wanted },
      });
      return images.map(({ id }) => id);
    });
  }

  start(ids: string[]): Promise<void> {
    return this.em.fork().transactional((em) => this.images.start(em, ids));
  }

  /** @param sent what the model sent */
  async make(
    id: string,
    sent: Buffer,
    provenance = TRAINED,
    signal = new AbortController().signal,
  ): Promise<MadePicture | undefined> {
    const path = join(this.folder, randomUUID());
    await writeFile(path, sent);
    return this.files.make(id, path, provenance, { signal, timeoutMs: 60_000 });
  }

  /** @param more what else is part of the transaction */
  complete(made: MadePicture, more: () => Promise<void> = async () => undefined): Promise<boolean> {
    return this.em.fork().transactional(async (em) => {
      await lockWork(em, made.imageId);
      const isTaken = await this.images.complete(em, made, 100);
      await em.flush();
      await more();
      return isTaken;
    });
  }

  fail(ids: string[], code = 'blocked'): Promise<void> {
    const error = { code, detail: 'The model would not.' };
    return this.em.fork().transactional((em) => this.images.fail(em, ids, error));
  }

  /** All steps. @returns the id of the image, which is COMPLETED */
  async generate(account: Account, sent: Buffer, provenance = TRAINED): Promise<string> {
    const [id = ''] = await this.want(account);
    await this.start([id]);
    const made = await this.make(id, sent, provenance);
    if (!made || !(await this.complete(made))) throw new Error('Nobody waits for the picture');
    return id;
  }

  async giveUp(em: EntityManager, imageIds: readonly string[]): Promise<void> {
    for (const id of imageIds) await lockWork(em, id);
    if (this.refusal) throw this.refusal;
    this.givenUp.push([...imageIds]);
  }
}

async function lockWork(em: EntityManager, imageId: string): Promise<void> {
  await em.execute('select pg_advisory_xact_lock(hashtext(?))', [imageId]);
}
