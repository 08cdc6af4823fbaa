import { z } from 'zod';

/** Control characters but tab, line feed and carriage return; NUL among them, which PostgreSQL refuses. */
const CONTROL_CHARACTERS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;
/** All of Unicode's category Cc. */
const ANY_CONTROL_CHARACTER = /\p{Cc}/u;

/** Of a text, after trimming, in Unicode code points, as JSON Schema and PostgreSQL count. */
interface Bounds {
  min?: number;
  max: number;
}

/**
 * Text that people typed: well-formed Unicode, trimmed, without control characters but line breaks and
 * tabs.
 */
export function text(bounds: Bounds) {
  return textWithout(CONTROL_CHARACTERS, 'must not contain control characters', bounds);
}

/** {@link text} of one line: without any control character. */
export function lineOfText(bounds: Bounds) {
  const error = 'must not contain line breaks or other control characters';
  return textWithout(ANY_CONTROL_CHARACTER, error, bounds);
}

function textWithout(characters: RegExp, error: string, { min = 0, max }: Bounds) {
  return z
    .string()
    .trim()
    .refine((value) => value.isWellFormed() && !characters.test(value), { error })
    .min(min)
    .max(max);
}
