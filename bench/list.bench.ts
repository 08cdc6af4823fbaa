import { type Rivals, startRivals } from './http/rivals.ts';
import { multiplyImage } from './http/seed.ts';
import { takeTurns } from './http/turns.ts';
import { requireProc } from './process-usage.ts';
import { FIGURE_COLUMNS, type Table } from './report.ts';
import type { BenchOptions } from './run.ts';

const FULL = { rounds: 12, seconds: 5, others: 100, each: 500 };
const QUICK: typeof FULL = { rounds: 2, seconds: 3, others: 4, each: 100 };
const CONNECTIONS = 16;
const LIMIT = 20;
const GOALS = { speed: { atLeast: 0.8 }, cpu: { atMost: 1.35 } };

/** A page of one's own images, against bare Fastify and `pg`. */
export async function* measureList({ quick, cleanUp }: BenchOptions): AsyncGenerator<Table> {
  requireProc();
  const { others, each, ...plan } = quick ? QUICK : FULL;
  const rivals = await startRivals(cleanUp);
  const { MIGRATION_DATABASE_URL = '' } = rivals.product.setting.variables;
  await multiplyImage(MIGRATION_DATABASE_URL, rivals.image.id, { others, each });
  const sizes = await requireSameAnswers(rivals);
  const headers = { authorization: `Bearer ${rivals.client.token}` };
  const sideOf = (pid: number, url: string) => ({ pid, task: { url, headers, status: 200 } });
  const rows = await takeTurns(
    'list',
    {
      product: sideOf(rivals.product.api.pid, `${rivals.product.url}/api/v1/images?limit=${LIMIT}`),
      bare: sideOf(rivals.bare.pid, `${rivals.bare.url}/images?limit=${LIMIT}`),
    },
    rivals.load,
    { ...plan, connections: CONNECTIONS },
    GOALS,
  );
  yield {
    title: 'A signed-in list of 20 images',
    note: [
      `Rounds: ${plan.rounds} of ${plan.seconds} s for each side, with ${CONNECTIONS} connections. \`GET /api/v1/images?limit=${LIMIT}\` of an account with ${each} images, among ${(others + 1) * each} images and four times as many files.`,
      'Bare: Fastify and `pg` alone, one process like the product, with the same statements as the product sent them (as named prepared statements), and the same size of pool. It verifies the token with each request, where the product remembers it, and asks for each account by itself, where the product asks for those of requests that come together. It logs nothing, validates nothing and signs no links; the product writes a line for each request, and 60 links, which it signs anew twice a minute.',
      `Answers: ${sizes.product} bytes of the product, ${sizes.bare} of the bare one.`,
    ].join(' '),
    columns: FIGURE_COLUMNS,
    rows,
  };
}

/** Both must answer the same images; the bare one's links only look alike. */
async function requireSameAnswers({ product, bare, client }: Rivals) {
  const page = async (url: string) => (await client.get(url)).body.toString();
  const own = await page(`${product.url}/api/v1/images?limit=${LIMIT}`);
  const other = await page(`${bare.url}/images?limit=${LIMIT}`);
  const idsOf = (text: string) =>
    (JSON.parse(text) as { items: { id: string }[] }).items.map(({ id }) => id).join();
  if (idsOf(own) !== idsOf(other)) throw new Error('The two servers list different images.');
  return { product: Buffer.byteLength(own), bare: Buffer.byteLength(other) };
}
