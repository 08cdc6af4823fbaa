import { type Rivals, startRivals } from './http/rivals.ts';
import { type Side, takeTurns } from './http/turns.ts';
import { makeNoise } from './images/pictures.ts';
import { requireProc } from './process-usage.ts';
import { FIGURE_COLUMNS, type Table } from './report.ts';
import type { BenchOptions } from './run.ts';

const FULL = { rounds: 6, seconds: 5 };
const QUICK: typeof FULL = { rounds: 2, seconds: 3 };
const CONNECTIONS = 8;
const PICTURE_BYTES = 200_000;
const BOUNDARY = 'bench-boundary-of-a-form';

/** Uploads that are answered with 202, against bare Fastify that stores the file and inserts a row. */
export async function* measureUpload({ quick, cleanUp }: BenchOptions): AsyncGenerator<Table> {
  requireProc();
  const plan = { ...(quick ? QUICK : FULL), connections: CONNECTIONS };
  const rivals = await startRivals(cleanUp);
  const rows = await takeTurns('upload', await sidesOf(rivals), rivals.load, plan);
  yield {
    title: 'Uploads of 200 kB',
    note: [
      `Rounds: ${plan.rounds} of ${plan.seconds} s for each side, with ${CONNECTIONS} connections. \`POST /api/v1/images/upload?force=true\` with a JPEG, answered with 202; the worker is stopped.`,
      'Product: it walks and hashes the file while it arrives, flushes it and its folder, checks the quota, records what to remove should it crash, inserts the image and hands a job to the queue.',
      'Bare: Fastify, `@fastify/multipart` and `pg` alone, which check the token, stream the file to a flushed file and insert the same row, alone. No goal is set: it shows what safety costs.',
    ].join(' '),
    columns: FIGURE_COLUMNS,
    rows,
  };
}

async function sidesOf({
  product,
  bare,
  client,
}: Rivals): Promise<Record<'product' | 'bare', Side>> {
  const body = formWith(await makeNoise(PICTURE_BYTES)).toString('base64');
  const headers = {
    authorization: `Bearer ${client.token}`,
    'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
  };
  const side = (pid: number, url: string): Side => ({
    pid,
    task: { url, headers, body, method: 'POST', status: 202 },
  });
  return {
    product: side(product.api.pid, `${product.url}/api/v1/images/upload?force=true`),
    bare: side(bare.pid, `${bare.url}/images/upload`),
  };
}

function formWith(file: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(
      `--${BOUNDARY}\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n`,
    ),
    file,
    Buffer.from(`\r\n--${BOUNDARY}--\r\n`),
  ]);
}
