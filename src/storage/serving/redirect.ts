import type { FastifyReply, FastifyRequest } from 'fastify';
import { type DirectUrlOptions, MAX_SIGNED_URL_SECONDS, type Storage } from '../storage.js';

/** When addresses of a store begin to work, and for how many seconds. */
export type Lifetime = Pick<DirectUrlOptions, 'from' | 'seconds'>;

interface Redirectable {
  storage: Storage;
  key: string;
  cacheControl: string;
  fileName: string;
  /** For how long clients may be sent to the store; without it they are not. */
  direct?: Lifetime;
  /** Whether anyone may see the file, now. */
  isPublic?: boolean;
}

/** Where the store itself serves a file. */
interface Redirect {
  url: string;
  /** For how many seconds a client may go there without asking again. */
  keptFor: number;
}

const MAX_AGE = /max-age=(\d+)/;

/**
 * A public address goes on working when its image is private again, so clients are to ask soon
 * whether it is; in seconds.
 */
const PUBLIC_KEPT_FOR = 60;

/**
 * From the last full half of that time: whoever asks within one half gets one and the same address,
 * under which a browser finds again what it keeps, and which works for at least the other half.
 */
export function lifetimeFromNow(seconds: number): Lifetime {
  const halfMs = Math.max(1, Math.floor(seconds / 2)) * 1_000;
  return { from: new Date(Math.floor(Date.now() / halfMs) * halfMs), seconds };
}

/**
 * The life of a signed link: the store's address ends a second before it. One that lives longer than
 * `seconds` leads to one address after the other.
 *
 * @param expires when the link ends, in seconds since 1970
 */
export function lifetimeOfLink(expires: number, seconds: number): Lifetime {
  const from = new Date((expires - seconds - 1) * 1_000);
  return from.getTime() <= Date.now() ? { from, seconds } : lifetimeFromNow(seconds);
}

/**
 * Where clients are to fetch the file from the store, if they are: what anyone may see at its public
 * address where there is one, all else at one that is signed, and kept for half of what is left of it.
 */
export async function redirectOf(
  { method }: FastifyRequest,
  { storage, key, cacheControl, fileName, direct, isPublic = false }: Redirectable,
): Promise<Redirect | undefined> {
  if (!direct) return undefined;
  if (isPublic && storage.servesPublicFiles) {
    return { url: storage.getPublicUrl(key), keptFor: PUBLIC_KEPT_FOR };
  }
  if (direct.seconds > MAX_SIGNED_URL_SECONDS) return undefined;
  const scope = cacheControl.startsWith('public') ? 'public' : 'private';
  const url = await storage.createDirectUrl(key, {
    ...direct,
    method: method === 'HEAD' ? 'HEAD' : 'GET',
    // Behind this one address the bytes never change, and nobody comes back to it when it has ended.
    cacheControl: `${scope}, max-age=${direct.seconds}, immutable`,
    fileName,
  });
  const left = direct.from.getTime() / 1_000 + direct.seconds - Date.now() / 1_000;
  return url === undefined ? undefined : { url, keptFor: Math.max(0, Math.floor(left / 2)) };
}

/** Sends a client there, and lets it remember that for no longer than it may. */
export function redirectHeaders(
  reply: FastifyReply,
  { url, keptFor }: Redirect,
  { cacheControl }: Redirectable,
): void {
  const kept = cacheControl
    .replace(MAX_AGE, (_, seconds: string) => `max-age=${Math.min(Number(seconds), keptFor)}`)
    .replace(', immutable', '');
  void reply.code(302).headers({ location: url, 'cache-control': kept });
}
