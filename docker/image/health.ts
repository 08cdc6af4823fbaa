/**
 * `node docker/image/health.ts PORT`: exits with 0 when the process of this container that listens
 * on the port in that variable answers `/health`, and with 1 otherwise.
 *
 * `/health` tells whether the process lives. Whether it can reach its database is `/health/ready`:
 * starting a container again would not mend that.
 */
const TIMEOUT_MS = 2_500;

const [variable = 'PORT'] = process.argv.slice(2);
const port = process.env[variable] || (variable === 'PORT' ? '3000' : undefined);
if (port === undefined) throw new Error(`${variable} is not set.`);

const answer = await fetch(`http://127.0.0.1:${port}/health`, {
  signal: AbortSignal.timeout(TIMEOUT_MS),
});
process.exitCode = answer.ok ? 0 : 1;
