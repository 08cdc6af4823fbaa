import { isIP } from 'node:net';
import { z } from 'zod';
import { isShapedLikeJwt } from '../jwt-shape.js';

/**
 * The kinds of values that variables have. Messages name the rule and never the value; where the
 * reference could not tell a rule from the schema, the description does.
 */

const MINIMUM_SECRET_BYTES = 32;

interface Bounds {
  min: number;
  max: number;
}

/**
 * A whole number within bounds, both included, in decimal digits alone: what `1e3` or `0x10` was meant
 * to be is a guess.
 */
export function wholeNumber(bounds: Bounds) {
  return numberLike(/^-?\d+$/, 'must be a whole number', bounds);
}

/** A number within bounds, both included, in decimal digits with a point or without. */
export function decimalNumber(bounds: Bounds) {
  return numberLike(/^-?\d*\.?\d+$/, 'must be a number', bounds);
}

/** Blanks around it are left aside. */
function numberLike(pattern: RegExp, error: string, { min, max }: Bounds) {
  const within = z
    // All that digits can be besides a number is too large for one.
    .number(`must be at most ${max}`)
    .min(min, `must be at least ${min}`)
    .max(max, `must be at most ${max}`);
  return z
    .string(error)
    .trim()
    .regex(pattern, error)
    .transform(Number)
    .pipe(within)
    .describe(`${min} to ${max}`);
}

/** {@link wholeNumber} with a default. */
export function whole(defaultValue: number, bounds: Bounds) {
  return wholeNumber(bounds).default(defaultValue);
}

/** A time of every day, as HH:MM. */
export function timeOfDay(defaultValue: string) {
  return z
    .string()
    .regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time of day such as 03:00')
    .describe('`HH:MM`')
    .default(defaultValue);
}

/** Items separated by commas. */
const list = z
  .string()
  .default('')
  .transform((value) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  );

/** A scheme, a host, perhaps a port and a path, of characters that RFC 3986 section 2 lets stand. */
const HOST_AND_PATH = /^https?:\/\/[\w.~%!$&'()*+,;=:[\]-]+(\/[\w.~%!$&'()*+,;=:@/-]*)?$/i;

/**
 * An address that others are made from by putting a path behind it: so without a query, a fragment
 * and credentials. Without the slashes at its end.
 */
export const httpUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL', abort: true })
  .regex(HOST_AND_PATH, {
    error: 'must be an http:// or https:// URL of a host and a path alone, escaped where need be',
  })
  .transform((value) => value.replace(/\/+$/, ''))
  .describe('an `http://` or `https://` URL');

/** Names of this machine, on which nobody listens in. */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Where secrets are sent, and from where what comes back is believed. */
export const vendorUrl = httpUrl.refine(
  (value) => {
    const { protocol, hostname } = new URL(value);
    return protocol === 'https:' || LOOPBACK.test(hostname);
  },
  { error: 'must be an https:// URL, or one of this machine' },
);

/** As libpq has them (https://www.postgresql.org/docs/current/libpq-ssl.html), and one of pg's own. */
const SSL_MODES = [
  'disable',
  'allow',
  'prefer',
  'require',
  'verify-ca',
  'verify-full',
  'no-verify',
];

export const postgresUrl = z
  .url({
    protocol: /^postgres(ql)?$/,
    error: (issue) => (issue.input === undefined ? 'is required' : 'must be a postgres:// URL'),
    abort: true,
  })
  .refine((value) => SSL_MODES.includes(new URL(value).searchParams.get('sslmode') ?? 'disable'), {
    error: `must have an sslmode of ${SSL_MODES.join(', ')}, or none`,
  })
  .describe('a `postgres://` URL');

/** Addresses of PostgreSQL servers. */
export const postgresUrls = list
  .refine((values) => values.every((value) => postgresUrl.safeParse(value).success), {
    error: 'must be postgres:// URLs, separated by commas',
  })
  .describe('`postgres://` URLs');

export const secret = z
  .string({ error: 'is required' })
  .refine((value) => Buffer.byteLength(value) >= MINIMUM_SECRET_BYTES, {
    error: `must be at least ${MINIMUM_SECRET_BYTES} bytes, for example from: openssl rand -base64 48`,
  })
  .describe(`at least ${MINIMUM_SECRET_BYTES} bytes`);

/** Secrets that were in use before. */
export const secrets = list
  .refine((values) => values.every((value) => secret.safeParse(value).success), {
    error: `must be secrets of at least ${MINIMUM_SECRET_BYTES} bytes each, separated by commas`,
  })
  .describe(`each at least ${MINIMUM_SECRET_BYTES} bytes`);

/** What can be sent as `Authorization: Bearer`: RFC 6750 section 2.1. */
const bearerText = z.string().regex(/^[\w.~+/-]+=*$/, 'must be letters, digits and -._~+/ alone');

/** A secret that is sent so. */
export function bearerToken(bytes: number) {
  return bearerText.min(
    bytes,
    `must be at least ${bytes} bytes, for example from: openssl rand -base64 24`,
  );
}

/** A secret that is sent where the tokens of users are, and has to be told from them. */
export const adminToken = bearerText
  .refine((value) => !isShapedLikeJwt(value), { error: 'must not look like a JWT' })
  .describe(`at least ${MINIMUM_SECRET_BYTES} characters in production`);

/** What of that is too short in production. */
export function isShortForProduction(value: string): boolean {
  return value.length < MINIMUM_SECRET_BYTES;
}

/** What is put into headers as it is. */
export const visible = z
  .string()
  .regex(/^[\x21-\x7e]+$/, 'must be visible ASCII characters without blanks');

/** Several of those. */
export const visibleWords = list
  .refine((values) => values.every((value) => visible.safeParse(value).success), {
    error: 'must be visible ASCII characters without blanks, separated by commas',
  })
  .describe('visible ASCII characters');

/** An origin as browsers send it: scheme, host and port, no path and no trailing slash. */
export const origins = list
  .refine(
    (values) => values.every((value) => URL.canParse(value) && new URL(value).origin === value),
    { error: 'must be exact origins such as https://app.example.com, separated by commas' },
  )
  .describe('origins');

/** RFC 9110 section 5.6.2, and a value in which only the encoded bytes are special. */
const HEADER = /^\s*([\w!#$&'*+.^`|~-]+)\s*=\s*([\x21-\x7e]*)\s*$/;

/** Headers by name, written as in W3C Baggage: name=value, values URL-encoded. */
export const headers = z.string().transform((text, context): Record<string, string> => {
  const parsed: Record<string, string> = {};
  for (const item of text.split(',')) {
    const [, name, value] = HEADER.exec(item) ?? [];
    const text = decoded(value);
    if (name === undefined || text === undefined) {
      context.addIssue({ code: 'custom', message: 'must be name=value, separated by commas' });
      return z.NEVER;
    }
    parsed[name.toLowerCase()] = text;
  }
  return parsed;
});

/** What proxies are told by: an address, or a range of them. */
export const networks = list
  .refine((values) => values.every(isNetwork), {
    error: 'must be IP addresses or CIDR ranges such as 10.0.0.0/8, separated by commas',
  })
  .describe('addresses, CIDR ranges');

/**
 * Whether a secret that is long enough could be guessed all the same: few different characters, or
 * words that come from examples. Fine to try things out, not to rely on.
 */
export function isGuessable(value: string): boolean {
  if (Buffer.byteLength(value) < MINIMUM_SECRET_BYTES) return false; // Refused for that already.
  const distinct = new Set(value).size;
  return distinct < 12 || /change.?me|secret|password|example|default|your[-_ ]/i.test(value);
}

/** @returns undefined for what is no URL-encoding, or cannot stand in a header */
function decoded(value: string | undefined): string | undefined {
  try {
    const text = decodeURIComponent(value ?? '');
    return value !== undefined && /^[\t\x20-\x7e]*$/.test(text) ? text : undefined;
  } catch {
    return undefined;
  }
}

/** A range of all addresses is none: it would trust anybody. */
function isNetwork(value: string): boolean {
  const [address = '', bits, ...rest] = value.split('/');
  if (isIP(address) === 0 || rest.length > 0) return false;
  const width = isIP(address) === 4 ? 32 : 128;
  return bits === undefined || (/^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= width);
}
