import { createRequire } from 'node:module';
import type { LoggerService } from '@nestjs/common';
import { type Level, type Logger, type LoggerOptions, pino } from 'pino';
import type PinoPretty from 'pino-pretty';
import type { Env } from '../env.js';
import { describeError } from '../problems/error-description.js';
import { currentContext } from '../request-context.js';
import { LineOutput } from './line-output.js';

const require = createRequire(import.meta.url);

/** Fields that never reach the log, wherever in the first two levels of an entry they stand. */
const SECRET_FIELDS = [
  'password',
  'passwordHash',
  'accessToken',
  'refreshToken',
  'authorization',
  'cookie',
  'secret',
  'signature',
];

/** The root logger of a process: one JSON object a line, or pretty lines in a terminal. */
export function createLogger(env: Env, processName: string): Logger {
  const options = {
    level: env.LOG_LEVEL,
    base: { process: processName, pid: process.pid },
    timestamp: timeField(),
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: describeError },
    redact: {
      paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]),
      censor: '[redacted]',
    },
    mixin: () => {
      const { requestId, span } = currentContext() ?? {};
      return {
        ...(requestId !== undefined && { requestId }),
        ...(span && { traceId: span.traceId }),
      };
    },
  };
  // To be asked always: Node makes a pipe one that does not block when somebody first looks at it.
  const { isTTY } = process.stdout;
  const isPretty = env.LOG_FORMAT === 'pretty' || (env.LOG_FORMAT === 'auto' && isTTY);
  if (!isPretty) return createLineLogger(options);
  // Only people need it.
  const pretty = require('pino-pretty') as typeof PinoPretty;
  const colorize = isTTY || env.LOG_FORMAT === 'pretty';
  return pino(
    options,
    pretty({ colorize, ignore: 'pid,process', translateTime: 'SYS:HH:MM:ss.l', sync: true }),
  );
}

function createLineLogger(options: LoggerOptions): Logger {
  const logger: Logger = pino(
    options,
    new LineOutput(process.stdout.fd, (count) => {
      logger.warn({ count, msg: 'Lines of the log were dropped: nobody was reading' });
    }),
  );
  return logger;
}

/** Makes the time of a line, as ISO 8601 in UTC, once for all lines of the same millisecond. */
function timeField(): () => string {
  let madeAt = NaN;
  let field = '';
  return () => {
    const now = Date.now();
    if (now !== madeAt) field = `,"time":"${new Date(now).toISOString()}"`;
    madeAt = now;
    return field;
  };
}

/** Parts of Nest that report every module and route, and a failed start that the entry point tells. */
const TALKATIVE = new Set([
  'NestFactory',
  'InstanceLoader',
  'RoutesResolver',
  'RouterExplorer',
  'NestApplication',
  'ExceptionHandler',
]);

/**
 * Lets Nest, and everything that uses Nest's `Logger`, write through pino.
 *
 * A message may be a string, an Error, or an object with `msg` and fields of its own.
 */
export class PinoNestLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown, ...rest: unknown[]): void {
    this.write(TALKATIVE.has(String(rest.at(-1))) ? 'debug' : 'info', message, rest);
  }

  error(message: unknown, ...rest: unknown[]): void {
    this.write(TALKATIVE.has(String(rest.at(-1))) ? 'debug' : 'error', message, rest);
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.write('warn', message, rest);
  }

  debug(message: unknown, ...rest: unknown[]): void {
    this.write('debug', message, rest);
  }

  /**
   * A logger for one kind of lines, whose fields are known and hold no secret: nothing is looked for
   * in them, which takes three times as long as writing them.
   */
  ofKnownFields(context: string): Logger {
    return this.logger.child({ context }, { redact: [] });
  }

  verbose(message: unknown, ...rest: unknown[]): void {
    this.write('trace', message, rest);
  }

  fatal(message: unknown, ...rest: unknown[]): void {
    this.write('fatal', message, rest);
  }

  /** Nest passes the context last, and for errors a stack before it. */
  private write(level: Level, message: unknown, rest: unknown[]): void {
    const context = typeof rest.at(-1) === 'string' ? { context: rest.at(-1) } : {};
    const stack = rest.length > 1 && typeof rest[0] === 'string' ? { stack: rest[0] } : {};
    if (message instanceof Error) {
      this.logger[level]({ ...context, err: message }, message.message);
    } else if (typeof message === 'object' && message !== null) {
      this.logger[level]({ ...context, ...message });
    } else {
      this.logger[level]({ ...context, ...stack }, String(message));
    }
  }
}
