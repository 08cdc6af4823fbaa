import {
  type ArgumentsHost,
  Catch,
  type ExceptionFilter,
  HttpException,
  Logger,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { rememberProblem } from './answered-problems.js';
import { internalError, Problem, problemForStatus, unavailable } from './problem.js';
import { isUnavailable } from './unavailable.js';

/** RFC 9457 section 6.1. */
export const PROBLEM_JSON = 'application/problem+json; charset=utf-8';
const RETRY_AFTER_SECONDS = '2';
/** Fastify's refusals of bodies, worded for people. Others quote the address, in which tokens may be. */
const PLAIN_ERRORS =
  /^FST_ERR_CTP_(BODY_TOO_LARGE|EMPTY_JSON_BODY|INVALID_CONTENT_LENGTH|INVALID_JSON_BODY)$/;

/** Turns whatever was thrown into RFC 9457 problem+json. The only place that answers errors. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger('Http');

  catch(exception: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const problem = toProblem(exception);
    if (problem.isFault) {
      this.logger.error({ err: exception, msg: problem.message });
    }
    sendProblem(problem, http.getRequest<FastifyRequest>(), http.getResponse<FastifyReply>());
  }
}

/** Answers a problem, unless an answer is already under way. */
export function sendProblem(problem: Problem, request: FastifyRequest, reply: FastifyReply): void {
  if (reply.sent) return;
  rememberProblem(reply.raw, problem.definition);
  void reply
    .code(problem.status)
    .headers(problem.headers)
    .header('cache-control', 'no-store')
    .type(PROBLEM_JSON)
    .serializer((body: unknown) => JSON.stringify(body))
    .send(problem.toJSON(request.id));
}

/** The problem that stands for anything that can be thrown. */
export function toProblem(exception: unknown): Problem {
  if (exception instanceof Problem) return exception;
  const status = httpStatusOf(exception);
  if (exception instanceof HttpException || (status !== undefined && status < 500)) {
    return describeHttpError(status ?? 500, exception);
  }
  if (isUnavailable(exception)) {
    return new Problem(
      unavailable,
      'The database or the storage cannot be reached, or is too busy.',
      {
        cause: exception,
        headers: { 'retry-after': RETRY_AFTER_SECONDS },
      },
    );
  }
  return new Problem(internalError, undefined, { cause: exception });
}

/** What a framework has refused. */
function describeHttpError(status: number, cause: unknown): Problem {
  const { code = '', message }: NodeJS.ErrnoException = cause as Error;
  const detail = PLAIN_ERRORS.test(code) ? message : undefined;
  return new Problem(problemForStatus(status), detail, { cause });
}

function httpStatusOf(exception: unknown): number | undefined {
  if (exception instanceof HttpException) return exception.getStatus();
  if (!(exception instanceof Error) || !('statusCode' in exception)) return undefined;
  return typeof exception.statusCode === 'number' ? exception.statusCode : undefined;
}
