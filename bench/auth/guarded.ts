import type { ApiClient } from '../api-client.ts';
import type { Load } from '../http/load.ts';
import { multiplyImage } from '../http/seed.ts';
import { takeTurns, type TurnPlan } from '../http/turns.ts';
import { makePhotos } from '../images/pictures.ts';
import type { Product } from '../product.ts';
import { FIGURE_COLUMNS, type Table } from '../report.ts';

const OPEN_LIST = new URL('./open-list.mjs', import.meta.url).href;
const LIMIT = 20;
const IMAGES = 500;
const GOAL = { atMost: 1.15 };

/** A page of images with the guards, against the same one of the same process without, in turns. */
export async function measureGuards(
  product: Product,
  client: ApiClient,
  load: Load,
  plan: TurnPlan,
): Promise<Table> {
  const { baseline } = await makePhotos(1);
  const image = await client.uploadAndWait(baseline);
  await product.worker.stop();
  const { MIGRATION_DATABASE_URL = '' } = product.setting.variables;
  await multiplyImage(MIGRATION_DATABASE_URL, image.id, { others: 0, each: IMAGES });
  await product.api.restart({
    variables: { BENCH_USER_ID: image.userId },
    nodeArguments: [`--import=${OPEN_LIST}`],
  });
  const guarded = `${product.url}/api/v1/images?limit=${LIMIT}`;
  const open = `${product.url}/api/v1/open-images?limit=${LIMIT}`;
  const bytes = await requireSameAnswers(client, guarded, open);
  const { pid } = product.api;
  const authorization = `Bearer ${client.token}`;
  return {
    title: 'A guarded request',
    note: [
      `Rounds: ${plan.rounds} of ${plan.seconds} s for each side, with ${plan.connections} connections. Guarded: \`GET /api/v1/images?limit=${LIMIT}\` of an account with ${IMAGES} images, ${bytes} bytes: the token is known or verified, its session and account are asked for, roles and memberships are checked where a route names any.`,
      'Unguarded: the same process has the same list once more, at an address that is `@Public()` and shows the images of that account to whoever asks; query, schema, service, answer and log line are the same. CPU is that of the process with all its threads, and not that of the database.',
    ].join(' '),
    columns: FIGURE_COLUMNS,
    rows: await takeTurns(
      'list',
      {
        guarded: { pid, task: { url: guarded, headers: { authorization }, status: 200 } },
        unguarded: { pid, task: { url: open, headers: {}, status: 200 } },
      },
      load,
      plan,
      { cpu: GOAL },
    ),
  };
}

/** @returns how many bytes it has */
async function requireSameAnswers(
  client: ApiClient,
  guarded: string,
  open: string,
): Promise<number> {
  const [one, other] = [await client.get(guarded), await client.get(open)];
  if (one.status !== 200 || !one.body.equals(other.body)) {
    throw new Error('The two routes list different images.');
  }
  return one.body.byteLength;
}
