import { type Rivals, startRivals } from './http/rivals.ts';
import { type Side, takeTurns } from './http/turns.ts';
import { requireProc } from './process-usage.ts';
import { FIGURE_COLUMNS, type Table } from './report.ts';
import type { BenchOptions } from './run.ts';

const FULL = { rounds: 6, seconds: 5 };
const QUICK: typeof FULL = { rounds: 2, seconds: 3 };
const CONNECTIONS = 16;
const GOALS = { speed: { atLeast: 0.8 } };

/** A picture's bytes, by both of its addresses, against bare Fastify that streams the same file. */
export async function* measureFile({ quick, cleanUp }: BenchOptions): AsyncGenerator<Table> {
  requireProc();
  const plan = { ...(quick ? QUICK : FULL), connections: CONNECTIONS };
  const rivals = await startRivals(cleanUp);
  const bytes = rivals.image.variants['medium']?.bytes ?? 0;
  const rows = [];
  for (const [name, sides] of Object.entries(await waysOf(rivals))) {
    rows.push(...(await takeTurns(name, sides, rivals.load, plan, GOALS)));
  }
  yield {
    title: 'A medium variant',
    note: [
      `Rounds: ${plan.rounds} of ${plan.seconds} s for each side and way, with ${CONNECTIONS} connections; the file has ${bytes} bytes and is in the cache of the machine.`,
      '`signed`: by the link that answers hold, without a token; the bare one computes a signature, too. `route`: `GET /api/v1/images/:id/file?size=medium` with a token; the bare one verifies it with each request, where the product remembers it, and sends the same two statements.',
      'Bare: Fastify and `pg` alone, which open the file, ask for its size and stream it in pieces of the same length under the same headers. It logs nothing and knows no conditions and no ranges.',
    ].join(' '),
    columns: FIGURE_COLUMNS,
    rows,
  };
}

async function waysOf({ product, bare, client, image }: Rivals) {
  const link = image.variants['medium']?.url ?? '';
  const path = `images/${image.id}/file?size=medium`;
  const token = { authorization: `Bearer ${client.token}` };
  const side = (pid: number, url: string, headers: Record<string, string>): Side => ({
    pid,
    task: { url, headers, status: 200 },
  });
  const ways = {
    signed: {
      product: side(product.api.pid, link, {}),
      bare: side(bare.pid, link.replace(`${product.url}/api/v1`, bare.url), {}),
    },
    route: {
      product: side(product.api.pid, `${product.url}/api/v1/${path}`, token),
      bare: side(bare.pid, `${bare.url}/${path}`, token),
    },
  };
  for (const sides of Object.values(ways)) {
    const [own, other] = [
      await client.get(sides.product.task.url),
      await client.get(sides.bare.task.url),
    ];
    if (own.status !== 200 || !own.body.equals(other.body)) {
      throw new Error('The two servers send different files.');
    }
  }
  return ways;
}
