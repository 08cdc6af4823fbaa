import { Inject, Injectable } from '@nestjs/common';
import type { Principal } from '../auth/access/principal.js';
import { ENV, type Env } from '../core/env.js';
import { malformed, notFound, Problem } from '../core/problems/problem.js';
import { lifetimeFromNow } from '../storage/serving/redirect.js';
import { Storage } from '../storage/storage.js';
import type { ServedFile } from '../storage/serving/serve-file.js';
import { VARIANT_FORMATS } from './decoding/variants.js';
import { ImagePresenter } from './image.presenter.js';
import { type FileRow, ImageQueries, type ImageRow } from './image.queries.js';
import type { FileQuery, ImageAnswer } from './image.schema.js';
import { FILE_SIZES, type FileSize } from './image-variant.entity.js';
import { imageFailed } from './images.problems.js';

/** What a request for a file finds: the file, or an image whose files are still being made. */
export type ImageFile = { ready: true; file: ServedFile } | { ready: false; image: ImageAnswer };

/** Behind a link with a version, bytes never change. A year is the longest that RFC 9111 has use for. */
const FOREVER = 'public, max-age=31536000, immutable';
const ASK_EACH_TIME = 'private, no-cache';

/** Finds the files of images for those who may see them. */
@Injectable()
export class ImageFiles {
  constructor(
    private readonly storage: Storage,
    private readonly queries: ImageQueries,
    private readonly presenter: ImagePresenter,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /**
   * A file of an own image, or of a public one for anyone. The original is for its owner alone.
   *
   * @param accept the request's `Accept` header: those who name AVIF get it where there is one
   * @throws Problem `malformed`, `not-found`, `image-failed`
   */
  async find(
    principal: Principal | undefined,
    id: string,
    query: FileQuery,
    accept: string | undefined,
  ): Promise<ImageFile> {
    const size = FILE_SIZES.find((each) => each === query.size);
    if (!size) throw new Problem(malformed, `A size is one of ${FILE_SIZES.join(', ')}.`);
    const image = await this.queries.find(id);
    if (!image || !maySee(principal, image, size)) throw new Problem(notFound);
    const files = image.files.filter(({ name }) => name === size);
    const file = choose(files, accept);
    // What is known of an image is for its owner alone, also while it is being made.
    if (!file && image.userId !== principal?.userId) throw new Problem(notFound);
    if (!file && image.status === 'FAILED') {
      throw new Problem(imageFailed, image.errorDetail ?? undefined);
    }
    if (!file) return { ready: false, image: this.presenter.present(image) };
    const isLatest = query.v === image.version;
    const served = this.serve(image, file, size, isLatest);
    return { ready: true, file: files.length > 1 ? { ...served, vary: 'accept' } : served };
  }

  /** @param isLatest whether the link names the version that the file is of */
  private serve(image: ImageRow, file: FileRow, size: FileSize, isLatest: boolean): ServedFile {
    const isPublic = image.visibility === 'public' && size !== 'original';
    return {
      storage: this.storage,
      key: file.storageKey,
      bytes: file.bytes,
      etag: `"${file.checksum.slice(0, 32)}"`,
      lastModified: new Date(file.createdAt),
      cacheControl: isPublic && isLatest ? FOREVER : ASK_EACH_TIME,
      isPublic,
      fileName: `${image.id}-${size}.${file.storageKey.split('.').at(-1) ?? file.format}`,
      // What its owner sent stays with us, under the policy that we answer it with.
      ...(size !== 'original' && { direct: lifetimeFromNow(this.env.SIGNED_URL_SECONDS) }),
    };
  }
}

function maySee(principal: Principal | undefined, image: ImageRow, size: FileSize): boolean {
  const isOwn = image.userId === principal?.userId;
  return isOwn || (image.visibility === 'public' && size !== 'original');
}

/** AVIF for those who ask for it by name, and else the format that everyone shows. */
function choose(files: FileRow[], accept = ''): FileRow | undefined {
  const wantsAvif = accept.split(',').some((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    return type === VARIANT_FORMATS.avif && !parameters.some((each) => /^q=0(\.0*)?$/.test(each));
  });
  const avif = wantsAvif ? files.find(({ format }) => format === 'avif') : undefined;
  return avif ?? files.find(({ format }) => format !== 'avif') ?? files[0];
}
