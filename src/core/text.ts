import { z } from 'zod';

/** Control characters but tab, line feed and carriage return; NUL among them, which PostgreSQL refuses. */
const CONTROL_CHARACTERS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

/**
 * Text that people typed: well-formed Unicode without control characters, trimmed.
 *
 * @param bounds in characters as JavaScript counts them, after trimming
 */
export function text({ min = 0, max }: { min?: number; max: number }) {
  return z
    .string()
    .refine((value) => value.isWellFormed() && !CONTROL_CHARACTERS.test(value), {
      error: 'must not contain control characters',
    })
    .trim()
    .min(min)
    .max(max);
}
