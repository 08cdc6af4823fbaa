/** Seconds since a moment of `performance.now()`: Prometheus counts in base units. */
export function secondsSince(startedAt: number): number {
  return (performance.now() - startedAt) / 1_000;
}
