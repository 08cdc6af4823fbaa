import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Param,
  Patch,
  Post,
  Query,
  Req,
  Res,
} from '@nestjs/common';
import { AcceptsMultipart } from '../core/http/http.js';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { CurrentUser, OptionalUser, type Principal } from '../auth/access/principal.js';
import { IdempotencyKeyHeader } from '../core/http/idempotency.js';
import { ApiBody, ApiConsumes, ApiHeader, ApiQuery } from '../core/openapi/openapi-decorators.js';
import { Operation } from '../core/openapi/openapi.js';
import {
  malformed,
  notFound,
  requestTimeout,
  unsupportedMediaType,
  validationFailed,
} from '../core/problems/problem.js';
import { Public } from '../core/http/public.js';
import { TakesWait, WaitSeconds } from '../core/http/wait.js';
import { FILE_PROBLEMS, fileAnswers, TakesFileHeaders } from '../storage/serving/file-answers.js';
import { sendStoredFile } from '../storage/serving/serve-file.js';
import {
  type FileQuery,
  fileQuery,
  type ImageChanges,
  imageChangesSchema,
  imageMetadataSchema,
  imagePageSchema,
  imageParams,
  imageSchema,
  imageStatsSchema,
  isFinal,
  listQuery,
  type ListQuery,
  uploadFormSchema,
  uploadQuery,
} from './image.schema.js';
import { ImageFiles } from './image-files.service.js';
import { FILE_SIZES } from './image-variant.entity.js';
import { imageFailed, UPLOAD_PROBLEMS } from './images.problems.js';
import { ImagesService } from './images.service.js';
import { ImageUploads } from './upload/uploads.service.js';

const UPLOAD_HEADERS = {
  location: 'The address of the image.',
  'idempotency-replayed': '`true` when this is the first answer to the same request again.',
};

const RETRY_AFTER_SECONDS = '1';

/** Uploads, shows, changes, serves and deletes pictures. */
@Controller('api/v1/images')
export class ImagesController {
  constructor(
    private readonly images: ImagesService,
    private readonly files: ImageFiles,
    private readonly uploads: ImageUploads,
  ) {}

  @Post('upload')
  @AcceptsMultipart()
  @ApiConsumes('multipart/form-data')
  @ApiBody({ standardSchema: uploadFormSchema } as never)
  @ApiHeader({ name: 'Idempotency-Key', required: false, description: 'Makes a repeat harmless.' })
  @TakesWait()
  @Operation({
    summary: 'Upload a picture',
    description:
      'The variants are made after the answer, unless you ask to wait for them. A file that you have ' +
      'uploaded before is answered with the image that it became.',
    answers: {
      201: { description: 'The image is final', schema: imageSchema, headers: UPLOAD_HEADERS },
      202: { description: 'The image is being made', schema: imageSchema, headers: UPLOAD_HEADERS },
    },
    problems: [...UPLOAD_PROBLEMS, malformed, requestTimeout],
  })
  async upload(
    @Req() request: FastifyRequest,
    @CurrentUser() user: Principal,
    @IdempotencyKeyHeader() idempotencyKey: string | undefined,
    @WaitSeconds() waitSeconds: number,
    @Query({ schema: uploadQuery }) { force }: z.output<typeof uploadQuery>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const options = { idempotencyKey, waitSeconds, force };
    const { status, body, replayed } = await this.uploads.receive(request, user, options);
    void reply.code(status).header('location', `/api/v1/images/${body.id}`);
    if (replayed) void reply.header('idempotency-replayed', 'true');
    return body;
  }

  @Get()
  @Operation({
    summary: 'List your images',
    answers: { 200: { description: 'A page of images', schema: imagePageSchema } },
    problems: [validationFailed],
  })
  list(@CurrentUser() user: Principal, @Query({ schema: listQuery }) query: ListQuery) {
    return this.images.list(user, query);
  }

  @Get('stats')
  @Operation({
    summary: 'Show how many images you have and what they take',
    answers: { 200: { description: 'The numbers', schema: imageStatsSchema } },
  })
  stats(@CurrentUser() user: Principal) {
    return this.images.stats(user);
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
  @TakesFileHeaders()
  @ApiQuery({ name: 'size', required: false, enum: FILE_SIZES, schema: { default: 'large' } })
  @Operation({
    summary: 'Fetch the bytes of a picture',
    description:
      'Anyone may fetch a public image; a private one, and every original, only its owner. ' +
      'With `image/avif` in `Accept`, the answer is that where there is one.',
    answers: {
      ...fileAnswers('image/*'),
      202: {
        description: 'Not made yet',
        schema: imageSchema,
        headers: { 'retry-after': 'When to try again, in seconds.' },
      },
    },
    problems: [...FILE_PROBLEMS, imageFailed, malformed, validationFailed],
  })
  async file(
    @OptionalUser() user: Principal | undefined,
    @Param({ schema: imageParams }) { id }: { id: string },
    @Query({ schema: fileQuery }) query: FileQuery,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ) {
    const found = await this.files.find(user, id, query, request.headers.accept);
    if (found.ready) return sendStoredFile(request, reply, found.file);
    await reply.code(202).header('retry-after', RETRY_AFTER_SECONDS).send(found.image);
  }

  @Patch(':id')
  @Operation({
    summary: 'Change the title, the description or the visibility',
    answers: { 200: { description: 'The image as it is now', schema: imageSchema } },
    problems: [notFound, unsupportedMediaType, validationFailed],
  })
  change(
    @CurrentUser() user: Principal,
    @Param({ schema: imageParams }) { id }: { id: string },
    @Body({ schema: imageChangesSchema }) changes: ImageChanges,
  ) {
    return this.images.change(user, id, changes);
  }

  @Post(':id/reprocess')
  @TakesWait()
  @Operation({
    summary: 'Make the files of an image anew',
    description:
      'Those that it has are served until the new ones take their place. A picture that was never ' +
      'generated stays as it is.',
    answers: {
      200: { description: 'The image is final', schema: imageSchema },
      202: { description: 'The image is being made', schema: imageSchema },
    },
    problems: [notFound, validationFailed],
  })
  async reprocess(
    @CurrentUser() user: Principal,
    @Param({ schema: imageParams }) { id }: { id: string },
    @WaitSeconds() waitSeconds: number,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const image = await this.images.reprocess(user, id, waitSeconds);
    void reply.code(isFinal(image) ? 200 : 202);
    return image;
  }

  @Delete(':id')
  @HttpCode(204)
  @Operation({
    summary: 'Delete an image and its files',
    description:
      'Signed links to its files work for a while yet. Deleting it again within a day is no error.',
    answers: { 204: { description: 'Deleted' } },
    problems: [notFound, validationFailed],
  })
  delete(@CurrentUser() user: Principal, @Param({ schema: imageParams }) { id }: { id: string }) {
    return this.images.delete(user, id);
  }
}
