import type { IncomingHttpHeaders } from 'node:http';
import { parseHttpDate } from './http-date.js';

/** By what a client knows a file again. */
export interface Validators {
  /** Strong, with its quotes: equal tags mean equal bytes. */
  etag: string;
  lastModified: Date;
}

/** What the conditions of a request make of its answer. */
export type Verdict = 'proceed' | 'not-modified' | 'precondition-failed';

/**
 * Weighs the conditions of a GET or HEAD in the order of RFC 9110 section 13.2.2. A date counts
 * only without the tags that would be more exact, and only when it is one.
 */
export function weighConditions(headers: IncomingHttpHeaders, file: Validators): Verdict {
  const ifMatch = headers['if-match'];
  if (ifMatch !== undefined) {
    if (!includesTag(ifMatch, file.etag, 'strong')) return 'precondition-failed';
  } else if (isModifiedSince(headers['if-unmodified-since'], file) === true) {
    return 'precondition-failed';
  }
  const ifNoneMatch = headers['if-none-match'];
  if (ifNoneMatch !== undefined) {
    return includesTag(ifNoneMatch, file.etag, 'weak') ? 'not-modified' : 'proceed';
  }
  return isModifiedSince(headers['if-modified-since'], file) === false ? 'not-modified' : 'proceed';
}

/**
 * Whether a range may be cut from the file: always, unless `If-Range` names another one (RFC 9110
 * section 13.1.5). A date must be the very same one; it is as strong as a tag here, because a file
 * never changes within the second of its date.
 */
export function mayCutRange(headers: IncomingHttpHeaders, file: Validators): boolean {
  const ifRange = headers['if-range'];
  if (ifRange === undefined) return true;
  const text = String(ifRange).trim();
  return text === file.etag || parseHttpDate(text) === secondsOf(file.lastModified);
}

const TAGS = /(W\/)?("[^"]*")/g;

/** RFC 9110 section 8.8.3.2. Ours is strong, so only the other one's weakness counts. */
function includesTag(list: string, etag: string, comparison: 'strong' | 'weak'): boolean {
  if (list.trim() === '*') return true;
  return [...list.matchAll(TAGS)].some(
    ([, weakness, tag]) => tag === etag && (comparison === 'weak' || weakness === undefined),
  );
}

/** Undefined without a date to compare with. */
function isModifiedSince(date: string | undefined, file: Validators): boolean | undefined {
  const since = parseHttpDate(date ?? '');
  return since === undefined ? undefined : secondsOf(file.lastModified) > since;
}

/** HTTP tells times in whole seconds, so the fraction is cut before anything is compared. */
function secondsOf(date: Date): number {
  return Math.floor(date.getTime() / 1_000);
}
