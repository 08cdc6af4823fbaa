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
}

const MAX_AGE = /max-age=(\d+)/;

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

/** Where the store itself serves the file, when clients are to fetch it there. */
export async function directUrlOf(
  { method }: FastifyRequest,
  { storage, key, cacheControl, fileName, direct }: Redirectable,
): Promise<string | undefined> {
  if (!direct || direct.seconds > MAX_SIGNED_URL_SECONDS) return undefined;
  const scope = cacheControl.startsWith('public') ? 'public' : 'private';
  return storage.createDirectUrl(key, {
    ...direct,
    method: method === 'HEAD' ? 'HEAD' : 'GET',
    // Behind this one address the bytes never change, and nobody comes back to it when it has ended.
    cacheControl: `${scope}, max-age=${direct.seconds}, immutable`,
    fileName,
  });
}

/** Sends a client there, and lets it remember that for no longer than half of what is left. */
export function redirectHeaders(
  reply: FastifyReply,
  url: string,
  { cacheControl, direct }: Redirectable,
): void {
  const endsAt = direct ? direct.from.getTime() / 1_000 + direct.seconds : 0;
  const most = Math.max(0, Math.floor((endsAt - Date.now() / 1_000) / 2));
  const kept = cacheControl
    .replace(MAX_AGE, (_, seconds: string) => `max-age=${Math.min(Number(seconds), most)}`)
    .replace(', immutable', '');
  void reply.code(302).headers({ location: url, 'cache-control': kept });
}
