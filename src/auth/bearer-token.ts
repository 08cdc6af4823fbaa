import type { FastifyRequest } from 'fastify';

/** Of RFC 6750 section 2.1, with the spaces of RFC 9110 section 11.4. */
const CREDENTIALS = /^bearer +([\w.~+/-]+=*)$/i;

/**
 * The token that a request brings, or null. passport-jwt looks for it with an expression that takes a
 * fifth of a second for 16 kB without a space.
 */
export function bearerTokenOf({ headers }: Pick<FastifyRequest, 'headers'>): string | null {
  return CREDENTIALS.exec(headers.authorization ?? '')?.[1] ?? null;
}
