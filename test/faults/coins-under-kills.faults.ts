import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { inFlight } from '../../bench/in-flight.js';
import { productVariables } from '../environment.js';
import { eventually } from '../eventually.js';
import { type GeminiAnswer, GeminiServer, pictureOf } from '../gemini-server.js';
import { SOUND } from '../ledger.js';
import { fileFaults, NO_FILE_FAULTS } from '../left-behind.js';
import { OwnPostgres } from '../own-postgres.js';
import { ProductProcess } from '../product-process.js';
import { registerAt } from '../product-requests.js';
import { branch, type Random, withSeed } from '../random.js';
import { PictureClients } from './picture-clients.js';

const VICTIMS = ['api', 'worker', 'postgres', 'backend'] as const;
const MODELS = [
  { model: 'Gemini', driver: 'gemini', rounds: 20 },
  { model: 'the local painter', driver: 'local', rounds: 4 },
];
const RICH = 1_000_000;
/** Is refused sooner or later, and has coins again when something is cancelled. */
const POOR = 3_000;
const GRANTS = [RICH, RICH, RICH, POOR];
const LANES = 6;
const FINAL_WITHIN_MS = 120_000;

/** Whatever of a generation does not fit the rest of it, in one look. */
const MISFITS = `
  select generations.id, status, coins_charged, price_per_picture, count, images.*, coins.*
  from generations
  left join lateral (
    select count(*) as left_over,
           count(*) filter (where images.status = 'COMPLETED') as made,
           count(*) filter (where images.status in ('PENDING', 'PROCESSING')) as unmade,
           coalesce(sum(coins_used), 0) as used
    from generation_images join images on images.id = image_id
    where generation_id = generations.id
  ) as images on true
  left join lateral (
    select array_agg(phase::text order by phase) as phases,
           max(amount) filter (where phase = 'HOLD') as on_hold,
           max(amount) filter (where phase = 'POST') as posted,
           bool_and(phase <> 'HOLD' or transfers.id = generations.hold_id) as is_its_hold
    from coin_transfers as transfers
    where kind = 'GENERATION' and reference = generations.id::text
  ) as coins on true
  where not coalesce(is_its_hold and on_hold = price_per_picture * count
    and used = made * price_per_picture
    and case status
      when 'COMPLETED' then phases = '{HOLD,POST}' and posted = coins_charged and unmade = 0
        -- An image that was paid for may have been deleted since.
        and coins_charged between greatest(1, made) * price_per_picture
                              and (made + count - left_over) * price_per_picture
      when 'FAILED' then phases in ('{HOLD,VOID}', '{EXPIRE,HOLD}') and coins_charged = 0
        and made = 0 and unmade = 0
      else phases = '{HOLD}' and made = 0
    end, false)`;

/** Mostly paints, takes its time, and is at times busy, away or wordy. */
function moody(picture: Buffer, random: Random): () => Promise<GeminiAnswer> {
  const retry = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '0.2s' };
  const paints: GeminiAnswer = { parts: [pictureOf(picture)] };
  const moods: Record<number, GeminiAnswer> = {
    0: { status: 503 },
    1: { status: 429, details: [retry] },
    2: { parts: [{ text: 'I would rather not.' }] },
    3: 'cut',
  };
  return async () => {
    await sleep(20 + random(300));
    return moods[random(16)] ?? paints;
  };
}

describe.each(MODELS)('kill -9, with pictures of $model,', ({ driver, rounds }) => {
  let gemini: GeminiServer;
  let postgres: OwnPostgres;
  let variables: Record<string, string>;
  let api: ProductProcess;
  let workers: ProductProcess[];
  let url: string;
  let tokens: string[];
  let adminToken: string;

  beforeAll(async () => {
    gemini = await GeminiServer.start();
    // What was committed has to be there after a crash: that is what this is about.
    postgres = await OwnPostgres.start({}, { durable: true });
    await postgres.migrate();
    variables = {
      ...productVariables(postgres.database(), postgres.dataDir),
      ...(driver === 'gemini' && gemini.variables),
      GENERATION_PER_USER: '4',
    };
    ({ api, url } = await ProductProcess.startApi(variables));
    const startWorker = () => ProductProcess.start('worker', variables);
    workers = await Promise.all([startWorker(), startWorker()]);
    adminToken = await registerAt(url);
    await postgres.query(`update users set roles = '{USER,ADMIN}' where id = $1`, [
      subjectOf(adminToken),
    ]);
    tokens = await Promise.all(GRANTS.map(grant));
  }, 120_000);

  afterAll(async () => {
    await Promise.all([api, ...workers].map((each) => each.kill()));
    await postgres.stop();
    await gemini.close();
  });

  /** Somebody with so many coins. @returns the access token */
  async function grant(amount: number): Promise<string> {
    const token = await registerAt(url);
    const { status } = await fetch(`${url}/api/v1/admin/users/${subjectOf(token)}/coins`, {
      method: 'POST',
      headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ amount, reason: 'For the test' }),
    });
    expect(status).toBe(201);
    return token;
  }

  /** Returns when what was killed works again. */
  async function kill(victim: (typeof VICTIMS)[number], random: Random): Promise<void> {
    if (victim === 'api') {
      await api.kill();
      ({ api } = await ProductProcess.startApi(variables, Number(new URL(url).port)));
    } else if (victim === 'worker') {
      const index = random(workers.length);
      await workers[index]?.kill();
      workers[index] = await ProductProcess.start('worker', variables);
    } else {
      await (victim === 'postgres' ? postgres.kill() : postgres.killBackend());
    }
  }

  it(
    'loses and makes no coin, and charges none without a picture',
    () =>
      withSeed(async (random) => {
        gemini.otherwise = moody(gemini.picture, branch(random));
        const clients = new PictureClients(url, tokens, branch(random));
        clients.begin(LANES);
        for (let round = 0; round < rounds; round += 1) {
          await sleep(200 + random(1_200));
          await kill(VICTIMS[round % VICTIMS.length] ?? 'api', random);
          expect(await postgres.query(MISFITS)).toEqual([]);
        }
        await clients.end();
        await expectAllFinal();
        await expectOneHoldForEach(clients);
        await expectPicturesOf(clients);
        await expectSoundLedger();
      }),
    300_000,
  );

  async function expectAllFinal(): Promise<void> {
    const unfinished = await eventually(
      () => postgres.query(`select id, status from generations where next_attempt_at is not null`),
      (rows) => rows.length === 0,
      FINAL_WITHIN_MS,
    );
    expect(unfinished).toEqual([]);
    expect(await postgres.query(MISFITS)).toEqual([]);
  }

  /** However often a request was sent: nothing begins twice, and nothing that was begun is forgotten. */
  async function expectOneHoldForEach(clients: PictureClients): Promise<void> {
    // As when the leases of the processes that were killed with a key have run out.
    await postgres.query('update idempotency_keys set leased_until = now() where status is null');
    await clients.sendAllAgain();
    await expectAllFinal();
    const odd = clients.requests.filter(({ status = 0 }) => ![201, 202, 402].includes(status));
    expect(odd).toEqual([]);
    const begun = clients.accepted.flatMap(({ generationIds }) => [...generationIds]);
    expect(begun).toHaveLength(clients.accepted.length);
    const holds = await postgres.query<{ reference: string }>(
      `select reference from coin_transfers where phase = 'HOLD'`,
    );
    expect(holds.map(({ reference }) => reference).sort()).toEqual(begun.sort());
  }

  async function expectPicturesOf(clients: PictureClients): Promise<void> {
    const images = await postgres.query<{ id: string; owner: string; checksum: string }>(
      `select images.id, user_id as owner, image_variants.checksum from images
       left join image_variants on image_id = images.id and name = 'original'
       where images.status = 'COMPLETED'`,
    );
    expect(images.length).toBeGreaterThan(rounds);
    const drivers = `select distinct provenance->>'driver' as driver from images
      where status = 'COMPLETED'`;
    expect(await postgres.query(drivers)).toEqual([{ driver }]);
    const tokenOf = new Map(tokens.map((token) => [subjectOf(token), token]));
    const broken = await inFlight(images, 8, async ({ id, owner, checksum }) => {
      const answer = await fetch(`${url}/api/v1/images/${id}/file?size=original`, {
        headers: { authorization: `Bearer ${tokenOf.get(owner)}` },
      });
      const bytes = Buffer.from(await answer.arrayBuffer());
      return createHash('sha256').update(bytes).digest('hex') === checksum ? [] : [id];
    });
    expect(broken.flat()).toEqual([]);

    const kept = await postgres.query<{ id: string }>('select id from images');
    const ids = new Set(kept.map(({ id }) => id));
    const gone = [...clients.imageIds].filter((id) => !ids.has(id));
    expect(gone.filter((id) => !clients.deletedIds.has(id))).toEqual([]);

    const files = await eventually(
      () => fileFaults(postgres.dataDir, postgres),
      ({ strays, missing }) => strays.length + missing.length === 0,
    );
    expect(files).toEqual(NO_FILE_FAULTS);
  }

  async function expectSoundLedger(): Promise<void> {
    const answer = await fetch(`${url}/api/v1/admin/ledger/proof`, {
      headers: { authorization: `Bearer ${adminToken}` },
    });
    expect(await answer.json()).toMatchObject(SOUND);
    const charged = await postgres.query(
      `select user_id, posted::int, held::int,
              (select sum(coins_charged) from generations
               where generations.user_id = coin_accounts.user_id)::int as charged
       from coin_accounts where kind = 'USER'`,
    );
    const expected = tokens.map((token, index) => {
      const user_id = subjectOf(token);
      const row = charged.find((each) => each['user_id'] === user_id);
      const spent = Number(row?.['charged']);
      return { user_id, posted: (GRANTS[index] ?? 0) - spent, held: 0, charged: spent };
    });
    expect(charged.toSorted(byUser)).toEqual(expected.toSorted(byUser));
  }
});

function byUser(a: object, b: object): number {
  return JSON.stringify(a).localeCompare(JSON.stringify(b));
}

function subjectOf(token: string): string {
  const claims = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
  return (JSON.parse(claims) as { sub: string }).sub;
}
