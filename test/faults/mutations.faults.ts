import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { uploadPicture } from '../image-requests.js';
import { mutate } from '../mutations.js';
import { makeEveryKind } from '../pictures.js';
import { seededRandom } from '../random.js';
import { type Account, TestingApp } from '../testing-app.js';

const FILES = 500;
const AT_ONCE = 8;
const SEED = 20_261_121;

/** Where a file came from, for whoever has to make it again. */
interface CorruptedFile {
  name: string;
  bytes: Buffer;
}

let app: TestingApp;
let account: Account;

beforeAll(async () => {
  app = await TestingApp.start({ variables: { QUEUE_PER_OWNER: '100' } });
  account = await app.register();
});

afterAll(() => app.close());

async function corruptedFiles(): Promise<CorruptedFile[]> {
  const random = seededRandom(SEED);
  const kinds = Object.entries(await makeEveryKind());
  return Array.from({ length: FILES }, (_, n) => {
    const [kind, file] = kinds[n % kinds.length]!;
    return { name: `${n}: ${kind}`, bytes: mutate(file, random) };
  });
}

it('corrupts the same files in the same way each time', async () => {
  const [once, again] = await Promise.all([corruptedFiles(), corruptedFiles()]);
  const digests = (files: CorruptedFile[]) =>
    files.map(({ bytes }) => createHash('sha256').update(bytes).digest('hex'));
  expect(digests(again)).toEqual(digests(once));
  expect(new Set(digests(once)).size).toBeGreaterThan(FILES * 0.95);
});

it(`ends ${FILES} corrupted files of every kind as refused, FAILED or a valid picture`, async () => {
  const files = await corruptedFiles();
  const outcomes = new Map<string, number>();
  for (let n = 0; n < files.length; n += AT_ONCE) {
    const batch = files.slice(n, n + AT_ONCE);
    for (const outcome of await Promise.all(batch.map(outcomeOf))) {
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  }

  // A mutator that breaks everything, or nothing, would prove nothing.
  for (const kind of ['4xx', 'FAILED', 'COMPLETED']) {
    expect([kind, sumOf(outcomes, kind) > FILES / 50]).toEqual([kind, true]);
  }
  expect(sumOf(outcomes, '')).toBe(FILES);
  expect(await app.database.query('select type, error from failed_jobs')).toEqual([]);
  // The worker is still the one that was started, and works.
  const { PNG: sound } = await makeEveryKind();
  expect((await uploadPicture(app, account, sound!)).body.status).toBe('COMPLETED');
  await app.http.get('/health/ready').expect(200);
});

async function outcomeOf({ name, bytes }: CorruptedFile): Promise<string> {
  const { status, body } = await uploadPicture(app, account, bytes);
  if (status >= 400) {
    const refused = [name, [413, 415, 422].includes(status), typeof body.code];
    expect(refused).toEqual([name, true, 'string']);
    return `4xx ${body.code}`;
  }
  expect([name, status]).toEqual([name, 201]);
  if (body.status === 'FAILED') return `FAILED ${body.error.code}`;
  expect([name, body.status]).toEqual([name, 'COMPLETED']);
  const large = await fetch(body.variants.large.url).then((answer) => answer.arrayBuffer());
  const { data, info } = await sharp(large).raw().toBuffer({ resolveWithObject: true });
  expect([name, data.length]).toEqual([name, info.width * info.height * info.channels]);
  return 'COMPLETED';
}

function sumOf(outcomes: Map<string, number>, prefix: string): number {
  let sum = 0;
  for (const [outcome, count] of outcomes) if (outcome.startsWith(prefix)) sum += count;
  return sum;
}
