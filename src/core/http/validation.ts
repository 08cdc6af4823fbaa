import { StandardSchemaValidationPipe, type ArgumentMetadata } from '@nestjs/common';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { z } from 'zod';
import { type FieldError, Problem, validationFailed } from '../problems/problem.js';

/** More findings than anyone reads; a hostile body must not buy a large answer. */
const MAX_FIELD_ERRORS = 50;
/** A field that somebody meant. Anything else could be a token that stands where no value does. */
const FIELD_NAME = /^[\w.[\]-]{1,30}$/;

/**
 * Checks every parameter that carries a schema and refuses what does not fit with 422
 * `validation-failed`, each field named by its place (`body.email`, `query.limit`).
 */
export class ValidationPipe extends StandardSchemaValidationPipe {
  override async transform<T>(value: T, metadata: ArgumentMetadata): Promise<T> {
    if (!metadata.schema || !this.toValidate(metadata)) return value;
    // A request without a body is one with nothing in it: each missing field is then named.
    const given = value === undefined && metadata.type === 'body' ? {} : value;
    const result = await this.validate<T>(given, metadata.schema);
    if (result.issues) {
      const root =
        metadata.data === undefined ? metadata.type : `${metadata.type}.${metadata.data}`;
      throw invalid(result.issues, root);
    }
    return result.value;
  }
}

/**
 * Parses a value that did not come through a parameter decorator, such as multipart fields.
 *
 * @param root where the value stood in the request: `body`, `headers`, …
 * @throws Problem `validation-failed`
 */
export function parseOrRefuse<T extends z.ZodType>(
  schema: T,
  value: unknown,
  root: string,
): z.output<T> {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalid(parsed.error.issues, root);
  return parsed.data;
}

function invalid(issues: readonly StandardSchemaV1.Issue[], root: string): Problem {
  const errors = issues.flatMap((issue) => fieldErrors(issue, root)).slice(0, MAX_FIELD_ERRORS);
  const first = errors[0];
  return new Problem(validationFailed, first && `${first.path}: ${first.message}`, { errors });
}

/** zod reports unknown keys as one finding on their parent; clients want each key named. */
function fieldErrors(issue: StandardSchemaV1.Issue, root: string): FieldError[] {
  const path = [root, ...(issue.path ?? []).map(segmentKey)].join('.');
  const { code, keys } = issue as { code?: string; keys?: string[] };
  if (code === 'unrecognized_keys' && keys) {
    return keys.map((key) => ({
      path: `${path}.${FIELD_NAME.test(key) ? key : '…'}`,
      message: 'is not known here',
    }));
  }
  return [{ path, message: issue.message }];
}

function segmentKey(segment: PropertyKey | StandardSchemaV1.PathSegment): string {
  return String(typeof segment === 'object' ? segment.key : segment);
}
