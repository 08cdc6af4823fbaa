import autocannon from 'autocannon';

/** The clients, in a process of their own, so that their work counts for neither side. */

export interface LoadTask {
  url: string;
  method?: 'GET' | 'POST';
  headers: Record<string, string>;
  /** In base64. */
  body?: string;
  /** The same of several requests, which each connection sends in turn. */
  bodies?: string[];
  connections: number;
  seconds: number;
  /** What every answer must be. */
  status: number;
}

export interface LoadResult {
  requests: number;
  seconds: number;
  p50Ms: number;
  p99Ms: number;
}

process.on('message', (task: LoadTask) => {
  run(task).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());

async function run({ status, seconds, body, bodies, ...task }: LoadTask): Promise<LoadResult> {
  const startedAt = performance.now();
  const { errors, timeouts, requests, latency, statusCodeStats } = await autocannon({
    ...task,
    duration: seconds,
    ...(body !== undefined && { body: Buffer.from(body, 'base64') }),
    ...(bodies && { setupClient: sendInTurn(bodies) }),
  });
  const took = (performance.now() - startedAt) / 1_000;
  const others = Object.keys(statusCodeStats ?? {}).filter((code) => Number(code) !== status);
  if (errors + timeouts > 0 || others.length > 0) {
    throw new Error(`${errors} errors, ${timeouts} timeouts, and statuses ${others.join(', ')}`);
  }
  return { requests: requests.total, seconds: took, p50Ms: latency.p50, p99Ms: latency.p99 };
}

/** Each connection begins elsewhere, or all would always send the same. */
function sendInTurn(bodies: string[]): (client: autocannon.Client) => void {
  let next = 0;
  const requests = bodies.map((body) => ({ body: Buffer.from(body, 'base64') }));
  return (client) => {
    const from = (next++ * 7) % requests.length;
    client.setRequests([...requests.slice(from), ...requests.slice(0, from)]);
  };
}
