/** The host of a URL as sockets and certificates know it: an IPv6 address without its brackets. */
export function withoutBrackets(host: string): string {
  return host.replace(/^\[(.+)\]$/, '$1');
}
