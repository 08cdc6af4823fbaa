/**
 * The routes that the first clients use, and where they lead. They are rewritten before routing,
 * so that there is one controller for both.
 */
interface FirstClientRoute {
  method: string;
  path: RegExp;
  /** May use the groups of `path`. */
  to: string;
  /** Query parameters that the old route implies, unless the client sets them. */
  query?: Record<string, string>;
}

const ID = '([^/?]+)';

const FIRST_CLIENT_ROUTES: readonly FirstClientRoute[] = [
  { method: 'POST', path: /^\/upload$/, to: '/api/v1/images/upload', query: { wait: '30' } },
  { method: 'GET', path: new RegExp(`^/images/${ID}$`), to: '/api/v1/images/$1/file' },
  { method: 'GET', path: new RegExp(`^/image/metadata/${ID}$`), to: '/api/v1/images/$1/metadata' },
  { method: 'POST', path: /^\/auth\/(register|login)$/, to: '/api/v1/auth/$1' },
  { method: 'GET', path: /^\/admin\/(queue-metrics|failed-jobs)$/, to: '/api/v1/admin/$1' },
  {
    method: 'POST',
    path: new RegExp(`^/admin/failed-jobs/${ID}/retry$`),
    to: '/api/v1/admin/failed-jobs/$1/retry',
  },
  {
    method: 'DELETE',
    path: new RegExp(`^/admin/failed-jobs/${ID}$`),
    to: '/api/v1/admin/failed-jobs/$1',
  },
];

/**
 * The address that a request is routed by.
 *
 * @param method HEAD counts as GET
 * @param url path and query as they were received
 */
export function rewriteFirstClientRoute(method: string | undefined, url: string): string {
  const [path = '', ...rest] = url.split('?');
  const wanted = method === 'HEAD' ? 'GET' : method;
  const route = FIRST_CLIENT_ROUTES.find((each) => each.method === wanted && each.path.test(path));
  if (!route) return url;
  const given = new URLSearchParams(rest.join('?'));
  const implied = Object.entries(route.query ?? {})
    .filter(([name]) => !given.has(name))
    .map(([name, value]) => `${name}=${value}`);
  const query = [...implied, ...rest.filter(Boolean)].join('&');
  return path.replace(route.path, route.to) + (query ? `?${query}` : '');
}
