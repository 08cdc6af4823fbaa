import { afterAll, beforeAll, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { uploadPicture } from '../image-requests.js';
import { makeEveryKind } from '../pictures.js';
import { type Account, TestingApp } from '../testing-app.js';
import { mutate, seededRandom } from './random.js';

const FILES = 500;
const AT_ONCE = 8;
const SEED = 20_261_121;

let app: TestingApp;
let account: Account;

beforeAll(async () => {
  app = await TestingApp.start({ variables: { QUEUE_PER_OWNER: '100' } });
  account = await app.register();
});

afterAll(() => app.close());

it(`ends ${FILES} corrupted files of every kind as refused, FAILED or a valid picture`, async () => {
  const random = seededRandom(SEED);
  const kinds = Object.entries(await makeEveryKind());
  const files = Array.from({ length: FILES }, (_, n) => {
    const [kind, file] = kinds[n % kinds.length]!;
    return { kind, bytes: mutate(file, random) };
  });

  const outcomes = new Map<string, number>();
  for (let n = 0; n < files.length; n += AT_ONCE) {
    const batch = files.slice(n, n + AT_ONCE);
    for (const outcome of await Promise.all(batch.map(({ bytes }) => outcomeOf(bytes)))) {
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  }

  // A mutator that breaks everything, or nothing, would prove nothing.
  for (const kind of ['4xx', 'FAILED', 'COMPLETED']) {
    expect(sumOf(outcomes, kind)).toBeGreaterThan(FILES / 50);
  }
  expect(sumOf(outcomes, '')).toBe(FILES);
  expect(await app.database.query('select type, error from failed_jobs')).toEqual([]);
  // The worker is still the one that was started, and works.
  const [[, sound]] = kinds as [[string, Buffer]];
  expect((await uploadPicture(app, account, sound)).body.status).toBe('COMPLETED');
  await app.http.get('/health/ready').expect(200);
});

async function outcomeOf(bytes: Buffer): Promise<string> {
  const { status, body } = await uploadPicture(app, account, bytes);
  if (status >= 400) {
    expect(status).toBeLessThan(500);
    expect(body.code).toEqual(expect.any(String));
    return `4xx ${body.code}`;
  }
  expect(status).toBe(201);
  if (body.status === 'FAILED') return `FAILED ${body.error.code}`;
  expect(body.status).toBe('COMPLETED');
  const large = await fetch(body.variants.large.url).then((answer) => answer.arrayBuffer());
  const { data, info } = await sharp(large).raw().toBuffer({ resolveWithObject: true });
  expect(data.length).toBe(info.width * info.height * info.channels);
  return 'COMPLETED';
}

function sumOf(outcomes: Map<string, number>, prefix: string): number {
  let sum = 0;
  for (const [outcome, count] of outcomes) if (outcome.startsWith(prefix)) sum += count;
  return sum;
}
