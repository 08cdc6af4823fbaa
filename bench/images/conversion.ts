import { setTimeout as delay } from 'node:timers/promises';
import { ApiClient } from '../api-client.ts';
import { inFlight } from '../in-flight.ts';
import { cpuMsOfTree } from '../process-usage.ts';
import type { Product } from '../product.ts';
import { FIGURE_COLUMNS, figureRow, type Table } from '../report.ts';
import { ratios, spreadOf } from '../statistics.ts';
import type { BareCascade } from './bare-cascade.ts';
import { distinct, PHOTO_FORMS, type PhotoForm, type Photos } from './pictures.ts';

/** What both sides make of a picture. */
export const WEBP = { quality: 80, effort: 2 };
const SHARPS_OWN_EFFORT = 4;
const AT_ONCE = 2;
/** Until the worker has put its things away after the answer. */
const REST_MS = 150;

const GOALS = {
  cpu: { atMost: 1.15 },
  speed: { atLeast: 0.85 },
  speedAtOwnEffort: { atLeast: 1.4 },
};

export interface ConversionPlan {
  /** Rounds of the baseline form, and of each other one. */
  rounds: number;
  otherRounds: number;
  picturesPerRound: number;
}

/** Both sides on the same pictures; the lists are one value per round. */
interface Rounds {
  product: Measure[];
  bare: Measure[];
  bareAtOwnEffort: Measure[];
}

interface Measure {
  wallMs: number;
  cpuMs: number;
}

interface Sides {
  product: Product;
  client: ApiClient;
  bare: BareCascade;
  photos: Photos;
  /** The same pictures on disk. */
  files: Readonly<Record<PhotoForm, readonly string[]>>;
}

/** The whole way from upload to ready against bare sharp, for CPU and for throughput. */
export async function measureConversion(
  sides: Omit<Sides, 'client'>,
  plan: ConversionPlan,
): Promise<Table> {
  const { picturesPerRound } = plan;
  const client = await ApiClient.register(sides.product.url);
  const rows: string[][] = [];
  for (const form of PHOTO_FORMS) {
    const isMain = form === 'baseline';
    const rounds = isMain ? plan.rounds : plan.otherRounds;
    const measured = await measureForm({ ...sides, client }, form, { rounds, picturesPerRound });
    rows.push(...rowsOf(form, measured, picturesPerRound));
  }
  client.close();
  return {
    title: '12-megapixel JPEGs: CPU and throughput',
    note: [
      `Rounds: ${plan.rounds} (of the other forms ${plan.otherRounds}), each of ${picturesPerRound} pictures of 4000 × 3000 pixels, quality 90, 4:2:0, with ${AT_ONCE} in flight on both sides.`,
      'Product: from the upload by HTTP (`Prefer: wait=30`) to the answer that the image is ready; CPU is that of the worker and its decoding children.',
      `Bare: sharp alone in a Node process, reading files: decode with shrink-on-load to 2048, then 1024, then 320, \`sharp.concurrency(1)\`, WebP quality ${WEBP.quality}, effort ${WEBP.effort} as the product has it, and ${SHARPS_OWN_EFFORT} as sharp has it by default.`,
    ].join(' '),
    columns: FIGURE_COLUMNS,
    rows,
  };
}

async function measureForm(
  sides: Sides,
  form: PhotoForm,
  { rounds, picturesPerRound }: { rounds: number; picturesPerRound: number },
): Promise<Rounds> {
  const measured: Rounds = { product: [], bare: [], bareAtOwnEffort: [] };
  const files = take(sides.files[form], picturesPerRound);
  const { effort, quality } = WEBP;
  await runProduct(sides, take(sides.photos[form], 2 * AT_ONCE));
  await sides.bare.run({ files: files.slice(0, 2 * AT_ONCE), effort, quality, atOnce: AT_ONCE });
  for (let round = 0; round < rounds; round += 1) {
    measured.product.push(await runProduct(sides, take(sides.photos[form], picturesPerRound)));
    measured.bare.push(await sides.bare.run({ files, effort, quality, atOnce: AT_ONCE }));
    if (form !== 'baseline') continue;
    const own = { files, effort: SHARPS_OWN_EFFORT, quality, atOnce: AT_ONCE };
    measured.bareAtOwnEffort.push(await sides.bare.run(own));
  }
  return measured;
}

async function runProduct({ product, client }: Sides, photos: readonly Buffer[]): Promise<Measure> {
  const uploads = photos.map((photo) => distinct(photo));
  const cpuBefore = cpuMsOfTree(product.worker.pid);
  const startedAt = performance.now();
  const images = await inFlight(uploads, AT_ONCE, (file) => client.uploadAndWait(file));
  const wallMs = performance.now() - startedAt;
  await delay(REST_MS);
  const cpuMs = cpuMsOfTree(product.worker.pid) - cpuBefore;
  await inFlight(images, AT_ONCE, ({ id }) => client.delete(`/api/v1/images/${id}`));
  return { wallMs, cpuMs };
}

function rowsOf(form: PhotoForm, measured: Rounds, pictures: number): string[][] {
  const { product, bare, bareAtOwnEffort } = measured;
  const cpu = (side: Measure[]) => side.map(({ cpuMs }) => cpuMs / pictures);
  const perSecond = (side: Measure[]) => side.map(({ wallMs }) => (pictures * 1_000) / wallMs);
  const row = (name: string, values: number[], unit: string, digits: number) =>
    figureRow({ name: `${form}: ${name}`, spread: spreadOf(values), unit, digits });
  const ratio = (name: string, values: number[], goal: { atMost: number } | { atLeast: number }) =>
    figureRow({ name: `${form}: ${name}`, spread: spreadOf(values), digits: 2, goal });
  const rows = [
    row('CPU per picture, product', cpu(product), ' ms', 0),
    row('CPU per picture, bare', cpu(bare), ' ms', 0),
    ratio('CPU, product : bare', ratios(cpu(product), cpu(bare)), GOALS.cpu),
    row('throughput, product', perSecond(product), '/s', 2),
    row('throughput, bare', perSecond(bare), '/s', 2),
    ratio('throughput, product : bare', ratios(perSecond(product), perSecond(bare)), GOALS.speed),
  ];
  if (bareAtOwnEffort.length === 0) return rows;
  const own = perSecond(bareAtOwnEffort);
  return [
    ...rows,
    row(`throughput, bare at effort ${SHARPS_OWN_EFFORT}`, own, '/s', 2),
    ratio(
      `throughput, product : bare at effort ${SHARPS_OWN_EFFORT}`,
      ratios(perSecond(product), own),
      GOALS.speedAtOwnEffort,
    ),
  ];
}

function take<T>(from: readonly T[], count: number): T[] {
  return Array.from({ length: count }, (_, index) => from[index % from.length] as T);
}
