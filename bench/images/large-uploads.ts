import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { ApiClient, type ImageAnswer, parse } from '../api-client.ts';
import { MemoryWatch, peakResidentBytes } from '../process-usage.ts';
import type { Product } from '../product.ts';
import { FIGURE_COLUMNS, figureRow, MEBIBYTE, type Table } from '../report.ts';
import { percentile, spreadOf } from '../statistics.ts';
import type { ProbeOptions, ProbeResult } from './health-probe.thread.ts';
import { distinct, makeNoise } from './pictures.ts';

const UPLOADS = 30;
/** As large as the product takes them. */
const BYTES = 20 * MEBIBYTE;
const PROBE_EVERY_MS = 20;
const WARM_UP_CALLS = 20;
const WARM_UP_UPLOADS = 10;
/** Large enough to come in many parts. */
const WARM_UP_BYTES = 5 * MEBIBYTE;
const GOALS = { memory: { atMost: 400 }, p99: { atMost: 100 } };

interface Round {
  peakBytes: number;
  wallMs: number;
  probes: ProbeResult;
}

/** What the API needs for many large uploads at once, and how fast it still answers. */
export async function measureLargeUploads(product: Product, rounds: number): Promise<Table> {
  const picture = await makeNoise(BYTES);
  const rows: string[][] = [];
  for (const worker of ['stopped', 'running'] as const) {
    if (worker === 'stopped') await product.worker.stop();
    else await product.worker.start();
    const measured: Round[] = [];
    for (let round = 0; round < rounds; round += 1)
      measured.push(await uploadAll(product, picture));
    rows.push(...rowsOf(`worker ${worker}`, measured));
  }
  return {
    title: `${UPLOADS} uploads of 20 MB at once`,
    note: `Rounds: ${rounds}, each with a new API process; every upload is a JPEG of exactly ${BYTES.toLocaleString('en')} bytes, and the client, on the same machine, sends as fast as it can. A thread of the client asks for \`/health\` every ${PROBE_EVERY_MS} ms; latencies are those of one round, after ${WARM_UP_CALLS} calls of \`/health\` and ${WARM_UP_UPLOADS} uploads of ${WARM_UP_BYTES / MEBIBYTE} MB, one after the other. Memory is the peak that the kernel noted for the API process.`,
    columns: FIGURE_COLUMNS,
    rows,
  };
}

async function uploadAll(product: Product, picture: Buffer): Promise<Round> {
  await product.api.restart();
  const client = await ApiClient.register(product.url);
  const files = Array.from({ length: UPLOADS }, () => distinct(picture, BYTES));
  const watch = new MemoryWatch(() => [product.api.pid]);
  await warmUp(client);
  const stopProbes = await probeHealth({ url: `${product.url}/health`, everyMs: PROBE_EVERY_MS });
  const startedAt = performance.now();
  const answers = await Promise.all(files.map((file) => client.upload(file)));
  const wallMs = performance.now() - startedAt;
  const probes = await stopProbes();
  const peakBytes = Math.max(watch.stop().peakBytes, peakResidentBytes(product.api.pid));
  for (const answer of answers) {
    const { id } = parse(answer, 202) as ImageAnswer;
    await client.delete(`/api/v1/images/${id}`);
  }
  client.close();
  return { peakBytes, wallMs, probes };
}

/** The goal is of an API that serves, not of one whose code has never run. */
async function warmUp(client: ApiClient): Promise<void> {
  for (let call = 0; call < WARM_UP_CALLS; call += 1) parse(await client.get('/health'), 200);
  const picture = await makeNoise(WARM_UP_BYTES);
  for (let upload = 0; upload < WARM_UP_UPLOADS; upload += 1) {
    const { id } = parse(await client.upload(distinct(picture)), 202) as ImageAnswer;
    await client.delete(`/api/v1/images/${id}`);
  }
}

/** Probes from a warm thread of its own, so that the uploads do not delay them. @returns how to stop */
async function probeHealth(options: ProbeOptions): Promise<() => Promise<ProbeResult>> {
  const thread = new Worker(join(import.meta.dirname, 'health-probe.thread.ts'), {
    workerData: options,
  });
  await once(thread, 'message');
  return async () => {
    const answered = once(thread, 'message') as Promise<[ProbeResult]>;
    thread.postMessage('stop');
    const [result] = await answered;
    await thread.terminate();
    return result;
  };
}

function rowsOf(name: string, rounds: readonly Round[]): string[][] {
  const spread = (measure: (round: Round) => number) => spreadOf(rounds.map(measure));
  const health = (percent: number) => spread(({ probes }) => percentile(probes.latencies, percent));
  return [
    figureRow({
      name: `${name}: peak memory of the API`,
      spread: spread(({ peakBytes }) => peakBytes / MEBIBYTE),
      unit: ' MB',
      goal: GOALS.memory,
    }),
    figureRow({ name: `${name}: /health, p50`, spread: health(50), unit: ' ms', digits: 1 }),
    figureRow({
      name: `${name}: /health, p99`,
      spread: health(99),
      unit: ' ms',
      digits: 1,
      goal: GOALS.p99,
    }),
    figureRow({ name: `${name}: /health, slowest`, spread: health(100), unit: ' ms', digits: 1 }),
    figureRow({
      name: `${name}: probes that failed`,
      spread: spread(({ probes }) => probes.failures),
    }),
    figureRow({
      name: `${name}: probes`,
      spread: spread(({ probes }) => probes.latencies.length),
    }),
    figureRow({
      name: `${name}: all uploads answered`,
      spread: spread(({ wallMs }) => wallMs / 1_000),
      unit: ' s',
      digits: 1,
    }),
  ];
}
