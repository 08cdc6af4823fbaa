import {
  Controller,
  Delete,
  Get,
  Head,
  HttpCode,
  Inject,
  Options,
  Param,
  Patch,
  Post,
  Query,
  Req,
  Res,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { CurrentUser, type Principal } from '../../auth/access/principal.js';
import { ENV, type Env } from '../../core/env.js';
import { Route } from '../../core/http/http.js';
import { IdempotencyKeyHeader } from '../../core/http/idempotency.js';
import {
  ApiBody,
  ApiConsumes,
  ApiExcludeEndpoint,
  ApiHeader,
} from '../../core/openapi/openapi-decorators.js';
import { Operation } from '../../core/openapi/openapi.js';
import { notFound, payloadTooLarge, validationFailed } from '../../core/problems/problem.js';
import { Public } from '../../core/http/public.js';
import { imageParams, uploadQuery } from '../image.schema.js';
import { containerProblems, quotaExceeded, UPLOAD_PROBLEMS } from '../images.problems.js';
import {
  announcementOf,
  firstPartOf,
  OFFSET_STREAM,
  overrideOf,
  requireOffsetStream,
  requireProtocol,
  TUS_EXTENSIONS,
  TUS_VERSION,
  uploadOffsetOf,
} from './resumable-protocol.js';
import { presentUpload, resumableUploadSchema } from './resumable.schema.js';
import {
  answerBegun,
  answerProgress,
  APPEND_PROBLEMS,
  OFFSET_HEADER,
  PROGRESS_HEADERS,
  PROTOCOL,
  reading,
  TUS_ROUTE,
  TUS_STREAM_ROUTE,
  TusHeader,
  UPLOADS,
} from './resumable-routes.js';
import { ResumableUploads } from './resumable-uploads.service.js';
import {
  tooManyOpenUploads,
  tusVersion,
  uploadLocked,
  uploadOffsetMismatch,
} from './resumable.problems.js';

/** Uploads that survive broken connections, after the tus resumable upload protocol 1.0.0. */
@Controller(UPLOADS)
export class ResumableUploadsController {
  constructor(
    private readonly uploads: ResumableUploads,
    @Inject(ENV) private readonly env: Env,
  ) {}

  @Options()
  @Public()
  @Route({ ...TUS_ROUTE, cors: { preflightContinue: true } })
  @HttpCode(204)
  @Operation({
    summary: 'Tell what is supported of the tus protocol',
    answers: {
      204: {
        description: 'In the headers',
        headers: {
          'tus-version': 'The versions.',
          'tus-extension': 'The extensions.',
          'tus-max-size': 'The most bytes of a file.',
        },
      },
    },
  })
  describe(@Res({ passthrough: true }) reply: FastifyReply) {
    void reply.headers({
      'tus-version': TUS_VERSION,
      'tus-extension': TUS_EXTENSIONS,
      'tus-max-size': this.env.UPLOAD_MAX_BYTES,
    });
  }

  @Options(':id')
  @Public()
  @Route({ ...TUS_ROUTE, cors: { preflightContinue: true } })
  @HttpCode(204)
  @ApiExcludeEndpoint()
  describeOne(@Res({ passthrough: true }) reply: FastifyReply) {
    this.describe(reply);
  }

  @Post()
  @Route(TUS_STREAM_ROUTE)
  @TusHeader
  @ApiHeader({
    name: 'Upload-Length',
    required: true,
    description: 'The bytes of the whole file.',
    schema: { type: 'integer', minimum: 0 },
  })
  @ApiHeader({ name: 'Idempotency-Key', required: false, description: 'Makes a repeat harmless.' })
  @ApiHeader({
    name: 'Upload-Metadata',
    required: false,
    description:
      'The fields of an upload as `key base64,key base64`: `title`, `description`, `visibility`, `force`; `filename` and `filetype` are ignored.',
  })
  @ApiConsumes(OFFSET_STREAM)
  @ApiBody({ required: false, schema: { type: 'string', format: 'binary' } })
  @Operation({
    summary: 'Begin a resumable upload',
    description: `After the ${PROTOCOL}. The body may already hold the beginning of the file, as \`${OFFSET_STREAM}\`.`,
    answers: {
      201: {
        description: 'Begun',
        schema: resumableUploadSchema,
        headers: {
          location: 'Where to send the parts of the file.',
          'idempotency-replayed': 'The upload had been begun under this key before.',
          ...PROGRESS_HEADERS,
        },
      },
    },
    problems: [
      ...UPLOAD_PROBLEMS,
      payloadTooLarge,
      tooManyOpenUploads,
      tusVersion,
      uploadLocked,
      uploadOffsetMismatch,
    ],
  })
  async create(
    @Req() request: FastifyRequest,
    @CurrentUser() user: Principal,
    @Query({ schema: uploadQuery }) { force }: z.output<typeof uploadQuery>,
    @IdempotencyKeyHeader() idempotencyKey: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return reading(request, async () => {
      const asked = { force, idempotencyKey };
      const announced = announcementOf(request.headers, this.env.UPLOAD_MAX_BYTES, asked);
      const begun = await this.uploads.create(user, announced, firstPartOf(request));
      answerBegun(request, reply, begun);
      return presentUpload(begun);
    });
  }

  @Head(':id')
  @Route(TUS_ROUTE)
  @TusHeader
  @Operation({
    summary: 'Ask how far a resumable upload has come',
    description: 'A file that was refused is refused again.',
    answers: {
      200: {
        description: 'In the headers',
        headers: { ...PROGRESS_HEADERS, 'upload-length': 'The bytes of the whole file.' },
      },
    },
    problems: [
      ...Object.values(containerProblems),
      notFound,
      quotaExceeded,
      tusVersion,
      uploadLocked,
      validationFailed,
    ],
  })
  async progress(
    @Req() request: FastifyRequest,
    @CurrentUser() user: Principal,
    @Param({ schema: imageParams }) { id }: { id: string },
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    requireProtocol(request.headers);
    const progress = await this.uploads.progress(user, id);
    const { bytes, fields } = progress.upload;
    void reply.header('upload-length', bytes);
    if (fields.metadata !== null) void reply.header('upload-metadata', fields.metadata);
    answerProgress(request, reply, progress);
  }

  @Get(':id')
  @Operation({
    summary: 'Show how a resumable upload stands',
    description: 'For a client that lost the last answer: what became of the file.',
    answers: { 200: { description: 'The upload', schema: resumableUploadSchema } },
    problems: [notFound, validationFailed],
  })
  async show(
    @CurrentUser() user: Principal,
    @Param({ schema: imageParams }) { id }: { id: string },
  ) {
    return presentUpload(await this.uploads.show(user, id));
  }

  @Patch(':id')
  @Route(TUS_STREAM_ROUTE)
  @HttpCode(204)
  @TusHeader
  @ApiHeader(OFFSET_HEADER)
  @ApiConsumes(OFFSET_STREAM)
  @ApiBody({ schema: { type: 'string', format: 'binary' } })
  @Operation({
    summary: 'Send a part of a file',
    description:
      'What arrives is kept, however the request ends. With its last byte the file becomes an image.',
    answers: { 204: { description: 'Taken', headers: PROGRESS_HEADERS } },
    problems: APPEND_PROBLEMS,
  })
  async append(
    @Req() request: FastifyRequest,
    @CurrentUser() user: Principal,
    @Param({ schema: imageParams }) { id }: { id: string },
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    await reading(request, async () => {
      requireProtocol(request.headers);
      requireOffsetStream(request.headers);
      const from = uploadOffsetOf(request.headers);
      answerProgress(request, reply, await this.uploads.append(user, id, from, request));
    });
  }

  @Post(':id')
  @Route(TUS_STREAM_ROUTE)
  @HttpCode(204)
  @TusHeader
  @ApiHeader({
    name: 'X-HTTP-Method-Override',
    required: true,
    schema: { enum: ['PATCH', 'DELETE'] },
  })
  @ApiHeader({ ...OFFSET_HEADER, required: false })
  @ApiConsumes(OFFSET_STREAM)
  @ApiBody({ required: false, schema: { type: 'string', format: 'binary' } })
  @Operation({
    summary: 'Send a part of a file, or delete its upload, where only POST is possible',
    answers: { 204: { description: 'Taken', headers: PROGRESS_HEADERS } },
    problems: APPEND_PROBLEMS,
  })
  async override(
    @Req() request: FastifyRequest,
    @CurrentUser() user: Principal,
    @Param({ schema: imageParams }) params: { id: string },
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return reading(request, async () =>
      overrideOf(request.headers) === 'PATCH'
        ? this.append(request, user, params, reply)
        : this.delete(request, user, params),
    );
  }

  @Delete(':id')
  @Route(TUS_ROUTE)
  @HttpCode(204)
  @TusHeader
  @Operation({
    summary: 'Delete a resumable upload and what has arrived of it',
    description: 'The image that it became stays.',
    answers: { 204: { description: 'Deleted' } },
    problems: [notFound, tusVersion, uploadLocked, validationFailed],
  })
  async delete(
    @Req() request: FastifyRequest,
    @CurrentUser() user: Principal,
    @Param({ schema: imageParams }) { id }: { id: string },
  ) {
    requireProtocol(request.headers);
    await this.uploads.remove(user, id);
  }
}
