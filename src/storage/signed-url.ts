import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import { purposeKey } from '../core/purpose-key.js';
import { MAX_SIGNED_URL_SECONDS } from './storage.js';
import { assertStorageKey } from './storage-key.js';

/** In whole seconds since 1970, or not at all. */
export type Expiry = number | 'never';

/** The route that serves signed addresses, followed by the key. */
const FILES_ROUTE = '/api/v1/files/';

/** Some 4 MB, of three addresses each. */
const KEPT_GROUPS = 4_000;

/** Objects that are told of together, and their addresses. */
interface SignedGroup {
  keys: readonly string[];
  urls: readonly string[];
}

/** Names the purpose, so that no other use of APP_SECRET can yield the same key. */
const KEY_PURPOSE = 'atelier file urls v1';

/**
 * Signs the addresses under which the API itself serves files:
 * `{PUBLIC_URL}/api/v1/files/{key}?expires=…&signature=…`.
 *
 * The signature is HMAC-SHA256 over expiry and key. A new APP_SECRET makes all addresses invalid,
 * also those that never expire.
 */
@Injectable()
export class FileUrlSigner {
  private readonly publicUrl: string;
  private readonly secret: KeyObject;
  /** What was signed last, by its first key: a page of a list is often asked for again. */
  private latest = { expires: 0, groups: new Map<string, SignedGroup>() };

  constructor(@Inject(ENV) env: Pick<Env, 'APP_SECRET' | 'PUBLIC_URL'>) {
    this.publicUrl = env.PUBLIC_URL;
    this.secret = purposeKey(env.APP_SECRET, KEY_PURPOSE);
  }

  /** The whole address of a key. Keys have no character that a URL would escape. */
  url(key: string, expires: Expiry): string {
    return `${this.publicUrl}${FILES_ROUTE}${key}?expires=${expires}&signature=${this.sign(key, expires)}`;
  }

  /**
   * Addresses that last this long, or up to a thirtieth less: those that are made in the same while
   * are the same, so that a browser which lists pictures again finds them in its cache.
   *
   * @param keys of objects that are told of together, such as the sizes of one picture: looking up
   *   each of the sixty links on a page takes as long as all the rest of presenting it
   * @returns one for each key, in their order
   * @throws InvalidStorageKey
   * @throws RangeError unless there are 1 to {@link MAX_SIGNED_URL_SECONDS}, whole
   */
  urlsFor(keys: readonly string[], seconds: number, nowMs = Date.now()): readonly string[] {
    assertLifetime(seconds);
    const step = Math.max(1, Math.floor(seconds / 30));
    const expires = Math.floor((Math.ceil(nowMs / 1000) + seconds) / step) * step;
    if (expires !== this.latest.expires || this.latest.groups.size >= KEPT_GROUPS) {
      this.latest = { expires, groups: new Map() };
    }
    const [first = ''] = keys;
    const known = this.latest.groups.get(first);
    if (known && isSame(known.keys, keys)) return known.urls;
    keys.forEach(assertStorageKey);
    const urls = keys.map((key) => this.url(key, expires));
    this.latest.groups.set(first, { keys, urls });
    return urls;
  }

  /** The signature, as 43 characters of base64url. */
  sign(key: string, expires: Expiry): string {
    return this.signText(key, String(expires));
  }

  /**
   * Whether the signature is ours for this key and expiry, and the expiry is still to come.
   *
   * @param expires as it stands in the address: signed as text, so that `0900` is not `900`
   * @param nowMs the time to compare with, in milliseconds since 1970
   */
  verify(key: string, expires: string, signature: string, nowMs = Date.now()): boolean {
    // Compared as text: base64 has several spellings of the same bytes, and only one is ours.
    const expected = Buffer.from(this.signText(key, expires));
    const given = Buffer.from(signature);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return false;
    return expires === 'never' || nowMs < Number(expires) * 1000;
  }

  private signText(key: string, expires: string): string {
    // As JSON, no two pairs have the same text.
    const text = JSON.stringify([expires, key]);
    return createHmac('sha256', this.secret).update(text).digest('base64url');
  }
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((key, index) => key === others[index]);
}

/** @throws RangeError unless it is 1 to {@link MAX_SIGNED_URL_SECONDS}, whole */
export function assertLifetime(seconds: number): void {
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > MAX_SIGNED_URL_SECONDS) {
    throw new RangeError(`A signed address lasts 1 to ${MAX_SIGNED_URL_SECONDS} whole seconds`);
  }
}
