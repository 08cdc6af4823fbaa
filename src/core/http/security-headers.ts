import helmet from 'helmet';

/** What an API answer may load or do in a browser: nothing. Pages for people loosen it. */
const NOTHING_ALLOWED = { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] };

/**
 * The headers that helmet sets, by their names in lower case. They are the same for every answer, so
 * they are asked for once: its plugin would make them, and a function, for each request.
 */
export function securityHeaders(): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  const response = {
    setHeader: (name: string, value: string) => {
      headers[name.toLowerCase()] = value;
    },
    removeHeader: () => undefined,
  };
  const setHeaders = helmet({
    contentSecurityPolicy: { useDefaults: false, directives: NOTHING_ALLOWED },
    // Pictures are meant to be shown on the pages of others.
    crossOriginResourcePolicy: { policy: 'cross-origin' },
  });
  setHeaders({} as never, response as never, (error?: unknown) => {
    if (error instanceof Error) throw error;
  });
  return headers;
}
