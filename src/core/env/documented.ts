import { z } from 'zod';

/** Milliseconds. */
export const SECONDS = 1_000;
/** Milliseconds. */
export const MINUTES = 60 * SECONDS;
/** Bytes. */
export const MEBIBYTE = 1024 * 1024;

interface VariableDoc {
  /** What it is for, with its unit. One sentence or two. */
  help: string;
  /** A value to show in `.env.example` where there is no default. */
  example?: string;
}

/** The documentation of each variable, kept beside its schema. */
export const envDocs = z.registry<VariableDoc>();

/** A variable with its documentation. */
export function documented<T extends z.ZodType>(schema: T, doc: VariableDoc): T {
  // Variables that share a schema have each a documentation of their own.
  const own = schema.clone();
  envDocs.add(own, doc);
  return own;
}
