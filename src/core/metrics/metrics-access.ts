import type { IncomingMessage } from 'node:http';
import { defineProblem, Problem } from '../problems/problem.js';
import { isSameSecret } from '../same-secret.js';

export const metricsClosed = defineProblem({
  code: 'metrics-closed',
  status: 401,
  title: 'The metrics are not for everyone',
  help: 'They are open to requests that come straight from the machine itself, and to those that carry `Authorization: Bearer` with the METRICS_TOKEN that the operator has set.',
});

/** The machine itself: RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3, and IPv4 within IPv6. */
const LOOPBACK = /^(::ffff:)?127\.\d+\.\d+\.\d+$|^::1$/;
/** What a client that means this machine writes into `Host`. */
const LOCAL_HOST = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i;
/**
 * What proxies add, besides all that begins with {@link FORWARDED}: whoever speaks through one is not
 * here, even if the proxy is. RFC 7239, RFC 8586, RFC 9110 section 7.6.3, and the habits of Apache,
 * Envoy, HAProxy, nginx, WebLogic, and of Akamai, Azure, Cloudflare, Fastly and Google.
 */
export const FORWARDING_HEADERS = [
  'forwarded',
  'via',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-original-forwarded-for',
  'x-original-host',
  'x-originating-ip',
  'x-remote-addr',
  'x-remote-ip',
  'x-proxyuser-ip',
  'x-appengine-user-ip',
  'x-azure-clientip',
  'x-azure-socketip',
  'x-envoy-external-address',
  'x-envoy-original-path',
  'cf-connecting-ip',
  'cf-connecting-ipv6',
  'cf-ray',
  'cdn-loop',
  'client-ip',
  'fastly-client-ip',
  'proxy-client-ip',
  'true-client-ip',
  'wl-proxy-client-ip',
];
const FORWARDED = 'x-forwarded';
const BEARER = /^Bearer +(\S+)$/i;

/**
 * Lets only the machine itself and holders of the token see metrics.
 *
 * A request counts as local by the address of its socket, unless it names another host or carries
 * what proxies add: behind a proxy on the same machine all requests come from loopback, and a page
 * in a browser here may have its own name lead here.
 *
 * @throws Problem `metrics-closed`
 */
export function requireMetricsAccess(request: IncomingMessage, token: string | undefined): void {
  if (isLocal(request) || hasToken(request, token)) return;
  throw new Problem(metricsClosed, undefined, { headers: { 'www-authenticate': 'Bearer' } });
}

function isLocal({ socket, headers }: IncomingMessage): boolean {
  if (!LOOPBACK.test(socket.remoteAddress ?? '')) return false;
  if (!LOCAL_HOST.test(headers.host ?? '')) return false;
  const isForwarded = Object.keys(headers).some((name) => name.startsWith(FORWARDED));
  return !isForwarded && !FORWARDING_HEADERS.some((name) => headers[name] !== undefined);
}

function hasToken({ headers }: IncomingMessage, token: string | undefined): boolean {
  const [, given] = BEARER.exec(headers.authorization ?? '') ?? [];
  return token !== undefined && given !== undefined && isSameSecret(given, token);
}
