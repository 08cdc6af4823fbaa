import { setTimeout as delay } from 'node:timers/promises';
import { CannotStart } from '../core/process/cannot-start.js';
import { LOOPBACK } from './free-port.js';

const PATIENCE_MS = 120_000;
const POLL_MS = 50;
const ANSWER_MS = 3_000;

/**
 * Returns when the API is ready, and the worker answers at its port. The worker's own readiness is not
 * waited for: it has none while its Redis is away, and what it tells can be read nevertheless.
 *
 * @param host that both listen on
 * @throws CannotStart when two minutes were not enough
 */
export async function allAnswer(
  host: string,
  ports: { api: number; worker: number },
): Promise<void> {
  const reachable = reachableAt(host);
  await Promise.all([
    answers('API', `http://${reachable}:${ports.api}/health/ready`),
    answers('worker', `http://${reachable}:${ports.worker}/health`),
  ]);
}

function reachableAt(host: string): string {
  if (host === '0.0.0.0' || host === '::') return LOOPBACK;
  return host.includes(':') ? `[${host}]` : host;
}

async function answers(name: string, url: string): Promise<void> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  let last = 'no answer';
  while (Date.now() < giveUpAt) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) }).catch(
      () => undefined,
    );
    await answer?.body?.cancel();
    if (answer?.status === 200) return;
    if (answer) last = `status ${answer.status}`;
    await delay(POLL_MS);
  }
  throw new CannotStart(`The ${name} did not become ready (${url}: ${last}).`);
}
