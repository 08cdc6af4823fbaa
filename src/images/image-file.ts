import type { FastifyReply } from 'fastify';
import type { ImageFile } from './images.service.js';

const RETRY_AFTER_SECONDS = '1';

/** Answers with the bytes of an image, with 304 when the client has them, or with 202. */
export async function sendImageFile(
  reply: FastifyReply,
  file: ImageFile,
  ifNoneMatch: string | undefined,
): Promise<void> {
  if (file.state === 'unfinished') {
    await reply.code(202).header('retry-after', RETRY_AFTER_SECONDS).send(file.image);
    return;
  }
  const { image, variant, etag } = file;
  const visibility = image.visibility === 'public' ? 'public' : 'private';
  void reply.headers({ etag, 'cache-control': `${visibility}, no-cache` });
  if (matches(ifNoneMatch, etag)) {
    await reply.code(304).send();
    return;
  }
  const { stream, bytes, contentType } = await file.open();
  await reply
    .headers({
      'content-type': contentType,
      'content-length': bytes,
      'content-disposition': `inline; filename="${image.id}-${variant.name}.${variant.format}"`,
    })
    .send(stream);
}

/** RFC 9110 section 13.1.2: a list of tags or `*`, compared without regard to weakness. */
function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  const tags = ifNoneMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags.includes('*') || tags.includes(etag);
}
