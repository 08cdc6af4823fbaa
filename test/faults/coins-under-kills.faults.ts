import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { productVariables } from '../environment.js';
import { eventually } from '../eventually.js';
import { OwnPostgres } from '../own-postgres.js';
import { ProductProcess } from '../product-process.js';
import { registerAt } from '../product-requests.js';

const ROUNDS = 21;
const ACCOUNTS = 5;
const COINS_EACH = 100_000;
const LANES = 4;
const FINAL_WITHIN_MS = 120_000;

let postgres: OwnPostgres;
let variables: Record<string, string>;
let api: ProductProcess;
let worker: ProductProcess;
let url: string;
let tokens: string[];
let adminToken: string;

beforeAll(async () => {
  // What was committed has to be there after a crash: that is what this is about.
  postgres = await OwnPostgres.start({}, { durable: true });
  await postgres.migrate();
  const urls = { ownerUrl: postgres.url('owner'), appUrl: postgres.url('app') };
  variables = { ...productVariables(urls, postgres.dataDir), GENERATION_PER_USER: '4' };
  ({ api, url } = await ProductProcess.startApi(variables));
  worker = await ProductProcess.start('worker', variables);
  tokens = await Promise.all(Array.from({ length: ACCOUNTS }, () => registerAt(url)));
  adminToken = await registerAt(url);
  await postgres.query(`update users set roles = '{USER,ADMIN}' where id = $1`, [
    subjectOf(adminToken),
  ]);
  for (const token of tokens) {
    const { status } = await askAdmin('POST', `users/${subjectOf(token)}/coins`, {
      amount: COINS_EACH,
      reason: 'For the test',
    });
    expect(status).toBe(201);
  }
}, 120_000);

afterAll(async () => {
  await Promise.all([api.kill(), worker.kill()]);
  await postgres.stop();
});

function subjectOf(token: string): string {
  const claims = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
  return (JSON.parse(claims) as { sub: string }).sub;
}

function askAdmin(method: string, path: string, body?: object) {
  return fetch(`${url}/api/v1/admin/${path}`, {
    method,
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
}

/** Asks for pictures, waits for them for a while, and cancels some, until it is told to stop. */
async function load(isOver: () => boolean): Promise<void> {
  for (let round = 0; !isOver(); round += 1) {
    const headers = {
      authorization: `Bearer ${tokens[round % tokens.length]}`,
      'content-type': 'application/json',
    };
    const body = JSON.stringify({ prompt: `Hills of the round ${round}`, count: 1 + (round % 3) });
    try {
      const address = `${url}/api/v1/images/generate?wait=${round % 5 === 0 ? 0 : 5}`;
      const answer = await fetch(address, { method: 'POST', headers, body });
      const { generation } = (await answer.json()) as { generation?: { id: string } };
      if (generation && round % 5 === 0) {
        await fetch(`${url}/api/v1/generations/${generation.id}`, { method: 'DELETE', headers });
      }
    } catch {
      await sleep(100); // It was killed just then.
    }
    await sleep(50);
  }
}

/** What must hold of each generation that has ended, in one look. */
const WRONG = `
  select generations.id, generations.status, coins_charged, price_per_picture, made, ending.phase
  from generations
  join coin_transfers as hold on hold.id = generations.hold_id
  left join coin_transfers as ending on ending.hold_id = hold.id
  left join lateral (
    select count(*) filter (where images.status = 'COMPLETED') as made
    from generation_images join images on images.id = image_id
    where generation_id = generations.id
  ) as pictures on true
  where case generations.status
    when 'COMPLETED' then made = 0 or coins_charged <> made * price_per_picture
      or ending.phase is distinct from 'POST' or ending.amount <> coins_charged
    when 'FAILED' then made > 0 or coalesce(ending.phase, '') not in ('VOID', 'EXPIRE')
    else ending.id is not null
  end`;

it('no coin is lost or made, and none is charged without a picture, whoever is killed and when', async () => {
  let isOver = false;
  const lanes = Array.from({ length: LANES }, () => load(() => isOver));
  for (let round = 0; round < ROUNDS; round += 1) {
    await sleep(500 + Math.random() * 2_000);
    if (round % 3 === 0) {
      await api.kill();
      api = await ProductProcess.start('main', {
        ...variables,
        ...{ PORT: new URL(url).port, PUBLIC_URL: url },
      });
    } else if (round % 3 === 1) {
      await worker.kill();
      worker = await ProductProcess.start('worker', variables);
    } else {
      await postgres.crash();
    }
    expect(await postgres.query(WRONG)).toEqual([]);
  }
  isOver = true;
  await Promise.all(lanes);
  const unfinished = await eventually(
    () => postgres.query(`select id, status from generations where next_attempt_at is not null`),
    (rows) => rows.length === 0,
    FINAL_WITHIN_MS,
  );
  expect(unfinished).toEqual([]);
  expect(await postgres.query(WRONG)).toEqual([]);
  const completed = await postgres.query(`select 1 from generations where status = 'COMPLETED'`);
  expect(completed.length).toBeGreaterThan(ROUNDS);
  const answer = await askAdmin('GET', 'ledger/proof');
  expect(await answer.json()).toMatchObject({ differences: [], sum: 0 });
  const held = await postgres.query(`select id from coin_accounts where held <> 0`);
  expect(held).toEqual([]);
}, 420_000);
