import { Controller, Get, Query, Req, Res } from '@nestjs/common';
import { ApiParam } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Operation } from '../core/openapi.js';
import { defineProblem, notFound, Problem, validationFailed } from '../core/problem.js';
import { Public } from '../core/public.js';
import { FileUrlSigner } from './signed-url.js';
import { openFile } from './open-file.js';
import { Storage } from './storage.js';
import { isStorageKey } from './storage-key.js';

const invalidSignature = defineProblem({
  code: 'invalid-signature',
  status: 403,
  title: 'The link is not valid',
  help: 'The link to this file was altered or has expired. Ask the API for the resource again: its answer holds a new link.',
});

const signedQuery = z.strictObject({
  expires: z.string().max(20).default(''),
  signature: z.string().max(100).default(''),
});

/** Serves the signed addresses of storage that has no server of its own. */
@Controller('api/v1/files')
export class FilesController {
  constructor(
    private readonly storage: Storage,
    private readonly signer: FileUrlSigner,
  ) {}

  @Get('*')
  @Public()
  @ApiParam({ name: 'path', type: String, description: 'The key of the file, slashes included.' })
  @Operation({
    summary: 'Fetch a file by a signed link',
    description: 'The links stand in the answers of other routes; nobody makes them by hand.',
    answers: { 200: { description: 'The file', binary: 'application/octet-stream' } },
    problems: [invalidSignature, notFound, validationFailed],
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
    const { stream, bytes, contentType, lastModified } = await openFile(this.storage, key);
    await reply
      .headers({
        'content-type': contentType,
        'content-length': bytes,
        'content-disposition': 'inline',
        'cache-control': 'private, max-age=60',
        'last-modified': lastModified.toUTCString(),
      })
      .send(stream);
  }
}
