import {
  Controller,
  Delete,
  Get,
  Headers,
  HttpCode,
  Param,
  Post,
  Query,
  Req,
  Res,
} from '@nestjs/common';
import { AcceptsMultipart } from '../core/http.js';
import { ApiBody, ApiConsumes, ApiHeader, ApiQuery } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { CurrentUser, OptionalUser, type Principal } from '../auth/access.js';
import {
  idempotencyInProgress,
  IdempotencyKeyHeader,
  idempotencyMismatch,
} from '../core/idempotency.js';
import { Operation } from '../core/openapi.js';
import {
  malformed,
  notFound,
  requestTimeout,
  unsupportedMediaType,
  validationFailed,
} from '../core/problem.js';
import { Public } from '../core/public.js';
import { MAX_WAIT_SECONDS, WaitSeconds } from '../core/wait.js';
import {
  fileQuery,
  imageMetadataSchema,
  imagePageSchema,
  imageParams,
  imageSchema,
  uploadFieldsSchema,
  listQuery,
  type ListQuery,
} from './image.schema.js';
import { ImageUploads } from './upload/uploads.service.js';
import { sendImageFile } from './image-file.js';
import {
  emptyFile,
  fileTooLarge,
  imageFailed,
  quotaExceeded,
  unsupportedType,
} from './images.problems.js';
import { VARIANT_NAMES } from './decoding/variants.js';
import { ImagesService } from './images.service.js';

/** What the document shows of the form: the fields, as they are checked, and the file. */
const UPLOAD_FORM = {
  type: 'object',
  required: ['image'],
  properties: {
    image: {
      type: 'string',
      format: 'binary',
      description: 'JPEG, PNG or WebP; `file` works too.',
    },
    ...z.toJSONSchema(uploadFieldsSchema, { io: 'input' }).properties,
  },
};

const UPLOAD_HEADERS = {
  location: 'The address of the image.',
  'idempotency-replayed': '`true` when this is the first answer to the same request again.',
};

/** Uploads, shows, serves and deletes pictures. */
@Controller('api/v1/images')
export class ImagesController {
  constructor(
    private readonly images: ImagesService,
    private readonly uploads: ImageUploads,
  ) {}

  @Post('upload')
  @AcceptsMultipart()
  @ApiConsumes('multipart/form-data')
  @ApiBody({ schema: UPLOAD_FORM as never })
  @ApiHeader({ name: 'Idempotency-Key', required: false, description: 'Makes a repeat harmless.' })
  @ApiHeader({ name: 'Prefer', required: false, description: '`wait=SECONDS`, at most 30.' })
  @ApiQuery({
    name: 'wait',
    required: false,
    description: 'As `Prefer: wait`, in seconds.',
    schema: { type: 'integer', minimum: 0, maximum: MAX_WAIT_SECONDS },
  })
  @Operation({
    summary: 'Upload a picture',
    description: 'The variants are made after the answer, unless you ask to wait for them.',
    answers: {
      201: { description: 'The image is final', schema: imageSchema, headers: UPLOAD_HEADERS },
      202: { description: 'The image is being made', schema: imageSchema, headers: UPLOAD_HEADERS },
    },
    problems: [
      emptyFile,
      fileTooLarge,
      idempotencyInProgress,
      idempotencyMismatch,
      quotaExceeded,
      requestTimeout,
      unsupportedMediaType,
      unsupportedType,
      validationFailed,
    ],
  })
  async upload(
    @Req() request: FastifyRequest,
    @CurrentUser() user: Principal,
    @IdempotencyKeyHeader() idempotencyKey: string | undefined,
    @WaitSeconds() waitSeconds: number,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const options = { idempotencyKey, waitSeconds };
    const { status, body, replayed } = await this.uploads.receive(request, user, options);
    void reply.code(status).header('location', `/api/v1/images/${body.id}`);
    if (replayed) void reply.header('idempotency-replayed', 'true');
    return body;
  }

  @Get()
  @Operation({
    summary: 'List your images, newest first',
    answers: { 200: { description: 'A page of images', schema: imagePageSchema } },
    problems: [validationFailed],
  })
  list(@CurrentUser() user: Principal, @Query({ schema: listQuery }) query: ListQuery) {
    return this.images.list(user, query);
  }

  @Get(':id')
  @Operation({
    summary: 'Show an image',
    answers: { 200: { description: 'The image', schema: imageSchema } },
    problems: [notFound, validationFailed],
  })
  show(@CurrentUser() user: Principal, @Param({ schema: imageParams }) { id }: { id: string }) {
    return this.images.show(user, id);
  }

  @Get(':id/metadata')
  @Operation({
    summary: 'Show what is known of the picture itself',
    answers: { 200: { description: 'The metadata', schema: imageMetadataSchema } },
    problems: [notFound, validationFailed],
  })
  metadata(@CurrentUser() user: Principal, @Param({ schema: imageParams }) { id }: { id: string }) {
    return this.images.metadata(user, id);
  }

  @Get(':id/file')
  @Public('anyone-or-user')
  @ApiHeader({ name: 'If-None-Match', required: false })
  @ApiQuery({ name: 'size', required: false, enum: VARIANT_NAMES, schema: { default: 'large' } })
  @Operation({
    summary: 'Fetch the bytes of a picture',
    description: 'Anyone may fetch a public image; a private one only its owner.',
    answers: {
      200: {
        description: 'The picture',
        binary: 'image/webp',
        headers: { etag: 'Send it as `If-None-Match` next time.' },
      },
      202: {
        description: 'Not made yet',
        schema: imageSchema,
        headers: { 'retry-after': 'When to try again, in seconds.' },
      },
      304: { description: 'You have it already' },
    },
    problems: [imageFailed, malformed, notFound, validationFailed],
  })
  async file(
    @OptionalUser() user: Principal | undefined,
    @Param({ schema: imageParams }) { id }: { id: string },
    @Query({ schema: fileQuery }) { size }: { size: string },
    @Headers('if-none-match') ifNoneMatch: string | undefined,
    @Res() reply: FastifyReply,
  ) {
    await sendImageFile(reply, await this.images.file(user, id, size), ifNoneMatch);
  }

  @Delete(':id')
  @HttpCode(204)
  @Operation({
    summary: 'Delete an image and its files',
    answers: { 204: { description: 'Deleted' } },
    problems: [notFound, validationFailed],
  })
  delete(@CurrentUser() user: Principal, @Param({ schema: imageParams }) { id }: { id: string }) {
    return this.images.delete(user, id);
  }
}
