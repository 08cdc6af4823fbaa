/**
 * `node docker/image/health.ts`: exits with 0 when the process of this container answers `/health`,
 * and with 1 otherwise. Which process it is was the command's choice, so both ports are asked: the
 * API's (PORT, 3000) and the worker's (WORKER_METRICS_PORT, 9464).
 *
 * `/health` tells whether the process lives. Whether it can reach its database is `/health/ready`:
 * starting a container again would not mend that.
 */
const TIMEOUT_MS = 2_500;

const { PORT, WORKER_METRICS_PORT } = process.env;

async function requireLife(port: string): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${port}/health`, {
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!answer.ok) throw new Error(`Port ${port} answered ${answer.status}.`);
}

try {
  await Promise.any([PORT || '3000', WORKER_METRICS_PORT || '9464'].map(requireLife));
} catch {
  console.error('Neither the API nor the worker answers.');
  process.exit(1);
}
// Whatever the other port holds back is not waited for.
process.exit(0);
