import { isIP, SocketAddress } from 'node:net';

/** What of a request tells where it comes from. */
export interface Sender {
  /** As a proxy wrote it that we trust, or else the {@link socket}'s. */
  readonly ip: string | undefined;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/** The address of a client that is gone already (RFC 4291 section 2.5.2). */
const NO_ADDRESS = '::';
/** Between IPv6 and IPv4 (RFC 4291 section 2.5.5.2), as Node writes it. */
const MAPPED = '::ffff:';
/** Longer than any address with a zone and a port. */
const MAX_LENGTH = 100;

/** The address of a client; of one whose proxy tells none, that of the connection. */
export function clientAddress({ ip, socket }: Sender): string {
  return plainAddress(ip) ?? plainAddress(socket.remoteAddress) ?? NO_ADDRESS;
}

/**
 * The one way to write an address: without port, brackets and zone, and of IPv4 within IPv6 what it
 * is. Some proxies add the port that a client came from, which is another one each time.
 *
 * @returns undefined for what is no address
 */
export function plainAddress(text: string | undefined): string | undefined {
  if (text === undefined || text.length > MAX_LENGTH) return undefined;
  return canonical(text) ?? canonical(text.replace(/:\d{1,5}$/, ''));
}

function canonical(text: string): string | undefined {
  const version = isIP(text);
  if (version === 4) return text;
  const bare = text.replace(/^\[(.*)\]$/, '$1').replace(/%.*$/, '');
  if (isIP(bare) !== 6) return undefined;
  const { address } = new SocketAddress({ address: bare, family: 'ipv6' });
  const mapped = address.startsWith(MAPPED) ? address.slice(MAPPED.length) : '';
  return isIP(mapped) === 4 ? mapped : address;
}
