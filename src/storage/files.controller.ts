import { createHash } from 'node:crypto';
import { Controller, Get, Inject, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ENV, type Env } from '../core/env.js';
import { ApiParam } from '../core/openapi/openapi-decorators.js';
import { Operation } from '../core/openapi/openapi.js';
import { Problem, validationFailed } from '../core/problems/problem.js';
import { Public } from '../core/http/public.js';
import { FILE_PROBLEMS, fileAnswers, TakesFileHeaders } from './serving/file-answers.js';
import { lifetimeFromNow, lifetimeOfLink } from './serving/redirect.js';
import { orProblem, sendStoredFile, type ServedFile } from './serving/serve-file.js';
import { FileUrlSigner } from './signed-url.js';
import { invalidSignature } from './storage.problems.js';
import { type ObjectHead, Storage } from './storage.js';
import { contentTypeOf, isStorageKey } from './storage-key.js';

/** For how long a browser may keep a file, at most, as long as its link lives. */
const MAX_AGE_SECONDS = 900;

/** Whatever is wrong with them, the link is not one of ours. */
const signedQuery = z.object({
  expires: z.string().max(20).catch(''),
  signature: z.string().max(100).catch(''),
});

/** Serves the signed addresses of files, wherever they are kept. */
@Controller('api/v1/files')
export class FilesController {
  constructor(
    private readonly storage: Storage,
    private readonly signer: FileUrlSigner,
    @Inject(ENV) private readonly env: Env,
  ) {}

  @Get('*')
  @Public()
  @ApiParam({ name: 'path', type: String, description: 'The key of the file, slashes included.' })
  @TakesFileHeaders()
  @Operation({
    summary: 'Fetch a file by a signed link',
    description:
      'The links stand in the answers of other routes; nobody makes them by hand. ' +
      'HEAD answers the same headers.',
    answers: fileAnswers(),
    problems: [invalidSignature, ...FILE_PROBLEMS, validationFailed],
  })
  async fetch(
    @Req() request: FastifyRequest<{ Params: { '*': string } }>,
    @Query({ schema: signedQuery }) { expires, signature }: z.output<typeof signedQuery>,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const key = request.params['*'];
    if (!isStorageKey(key) || !this.signer.verify(key, expires, signature)) {
      throw new Problem(invalidSignature);
    }
    const head = await orProblem(this.storage.head(key));
    await sendStoredFile(request, reply, {
      storage: this.storage,
      key,
      bytes: head.bytes,
      etag: etagOf(key, head),
      lastModified: head.lastModified,
      cacheControl: cacheControlOf(expires),
      fileName: key.split('/').slice(-2).join('-'),
      ...this.lifetimeIn(key, expires),
    });
  }

  /** Only pictures: of other bytes, whose type a browser might guess at, the API has to say so. */
  private lifetimeIn(key: string, expires: string): Pick<ServedFile, 'direct'> {
    if (!contentTypeOf(key).startsWith('image/')) return {};
    const seconds = this.env.SIGNED_URL_SECONDS;
    const direct =
      expires === 'never' ? lifetimeFromNow(seconds) : lifetimeOfLink(Number(expires), seconds);
    return { direct };
  }
}

/**
 * The same in every process and after every restart. It is strong because a key that was written is
 * not written again with other content. Hashed, so that nobody takes it apart and relies on it.
 */
function etagOf(key: string, { bytes, lastModified }: ObjectHead): string {
  const text = JSON.stringify([key, bytes, lastModified.getTime()]);
  return `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`;
}

/**
 * No cache outlives the link, and none between holds what was meant for one person. A key never
 * gets other content, so while the file is kept there is nothing to ask again: `immutable`.
 */
function cacheControlOf(expires: string): string {
  if (expires === 'never') return `public, max-age=${MAX_AGE_SECONDS}, immutable`;
  const left = Math.floor(Number(expires) - Date.now() / 1_000);
  return `private, max-age=${Math.max(0, Math.min(left, MAX_AGE_SECONDS))}, immutable`;
}
