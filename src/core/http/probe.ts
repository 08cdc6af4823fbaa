const PROBE = /^\/(health|metrics)\b/;

/** Whether a path or a route is one that probes and scrapers ask every few seconds. */
export function isProbe(path: string): boolean {
  return PROBE.test(path);
}
