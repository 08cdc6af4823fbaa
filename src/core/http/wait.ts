import { applyDecorators, createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ApiHeader, ApiQuery } from '../openapi/openapi-decorators.js';
import { parseOrRefuse } from './validation.js';

/** The longest that an answer is held, in seconds. */
const MAX_WAIT_SECONDS = 30;

/** Documents how a request asks for {@link WaitSeconds}. */
export function TakesWait() {
  return applyDecorators(
    ApiHeader({
      name: 'Prefer',
      required: false,
      description: `\`wait=SECONDS\`, at most ${MAX_WAIT_SECONDS}.`,
    }),
    ApiQuery({
      name: 'wait',
      required: false,
      description: 'As `Prefer: wait`, in seconds.',
      schema: { type: 'integer', minimum: 0, maximum: MAX_WAIT_SECONDS },
    }),
  );
}

/** `?wait=SECONDS`, for clients that cannot set headers. */
const waitQuery = z.object({
  wait: z.coerce.number().int().min(0).max(MAX_WAIT_SECONDS).default(0),
});

/**
 * How many seconds the client is willing to wait for the work to be final; 0 when it did not ask.
 *
 * From `Prefer: wait=SECONDS` (RFC 7240 section 4.3) or `?wait=SECONDS`. A preference is a wish:
 * one above the limit is met up to the limit, and `Preference-Applied` says so.
 */
export const WaitSeconds = createParamDecorator((_: unknown, context: ExecutionContext): number => {
  const http = context.switchToHttp();
  const request = http.getRequest<FastifyRequest>();
  const preferred = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})/i.exec(
    String(request.headers.prefer ?? ''),
  );
  if (!preferred) return parseOrRefuse(waitQuery, request.query, 'query').wait;
  const seconds = Math.min(Number(preferred[1]), MAX_WAIT_SECONDS);
  void http.getResponse<FastifyReply>().header('preference-applied', `wait=${seconds}`);
  return seconds;
});
