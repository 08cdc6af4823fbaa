import { Agent, get } from 'node:http';
import { parentPort, workerData } from 'node:worker_threads';

/**
 * Asks for `/health` at a steady pace, whether the answer before has come or not: a slow answer
 * must not make the probes that would have been slow as well go missing.
 *
 * It says `warm` once its own code has run; what it asked before does not count.
 */

export interface ProbeOptions {
  url: string;
  everyMs: number;
}

export interface ProbeResult {
  /** In milliseconds. */
  latencies: number[];
  /** Probes that got no answer, or another than 200. */
  failures: number;
}

const PATIENCE_MS = 10_000;
const WARM_UP_PROBES = 10;

const { url, everyMs } = workerData as ProbeOptions;
const agent = new Agent({ keepAlive: true });
const result: ProbeResult = { latencies: [], failures: 0 };
const underWay = new Set<Promise<void>>();

for (let each = 0; each < WARM_UP_PROBES; each += 1) await probe();
result.latencies = [];
parentPort?.postMessage('warm');

const timer = setInterval(() => {
  const probing = probe().finally(() => underWay.delete(probing));
  underWay.add(probing);
}, everyMs);

parentPort?.once('message', () => {
  clearInterval(timer);
  void Promise.all(underWay).then(() => {
    agent.destroy();
    parentPort?.postMessage(result);
  });
});

function probe(): Promise<void> {
  const startedAt = performance.now();
  return new Promise((done) => {
    const fail = (): void => {
      result.failures += 1;
      done();
    };
    const request = get(url, { agent, timeout: PATIENCE_MS }, (response) => {
      response.resume().once('error', fail);
      response.once('end', () => {
        if (response.statusCode === 200) result.latencies.push(performance.now() - startedAt);
        else result.failures += 1;
        done();
      });
    });
    request.once('timeout', () => request.destroy(new Error('No answer came.')));
    request.once('error', fail);
  });
}
