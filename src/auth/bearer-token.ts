import type { FastifyRequest } from 'fastify';

/**
 * The token of RFC 6750 section 2.1, or null. That of passport-jwt looks for it with an expression
 * that takes a fifth of a second for 16 kB without a space.
 */
export function bearerTokenOf({ headers }: Pick<FastifyRequest, 'headers'>): string | null {
  const [scheme = '', token] = (headers.authorization ?? '').split(' ', 2);
  return scheme.toLowerCase() === 'bearer' && token ? token : null;
}
