import type { Problem } from '../../core/problems/problem.js';

/**
 * Where a browser is sent that comes back to the app in vain: the fragment tells what went wrong, and
 * with what to go on when the problem names a `challenge`. No server is sent a fragment.
 */
export function failureAddress(back: string, { code, extensions }: Problem): string {
  const { challenge } = extensions;
  const told = new URLSearchParams({ error: code });
  if (challenge !== undefined) told.set('challenge', String(challenge));
  return `${back}#${told.toString()}`;
}
