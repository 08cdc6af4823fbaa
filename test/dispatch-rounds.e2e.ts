import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import pg from 'pg';
import { convertImage } from '../src/images/conversion/conversion.jobs.js';
import { Dispatcher } from '../src/queue/dispatcher.js';
import { makePicture } from './pictures.js';
import { type Account, TestingApp } from './testing-app.js';

const WAITING = 10_000;
const PLACES = 3;

/** A step of a plan, as `explain (analyze, format json)` tells it. */
interface PlanNode {
  'Relation Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  Plans?: PlanNode[];
}

type Statement = [text: string, values: unknown[]];

interface Round {
  settings: Statement;
  round: Statement;
}

/** Set before the API connects: what it sends is looked up there. */
const sent = jest.spyOn(pg.Client.prototype, 'query');

let app: TestingApp;
let account: Account;
let picture: Buffer;

beforeAll(async () => {
  app = await TestingApp.start({
    worker: false,
    variables: { QUEUE_PER_OWNER: String(PLACES) },
  });
  account = await app.register();
  picture = await makePicture({ width: 8, height: 8 });
});

afterAll(async () => {
  sent.mockRestore();
  await app.close();
});

/** What the API sends to take up work: its settings, and the round itself. */
async function statementsOfRound(): Promise<Round> {
  sent.mockClear();
  await app.app.get(Dispatcher).refill(convertImage, account.userId);
  const [settings, round, ...others] = (sent.mock.calls as unknown as Statement[]).filter(
    ([text]) => typeof text === 'string' && /set_config|^with owners as/.test(text),
  );
  if (!settings || !round || others.length > 0) throw new Error('A round is not sent as expected.');
  return { settings, round };
}

/** How many rows of images a round reads, when it runs again as if it had not run before. */
async function rowsReadBy({ settings, round: [text, values] }: Round): Promise<number> {
  await app.database.query('update images set queued_at = null where queued_at is not null');
  const client = new pg.Client({ connectionString: app.database.appUrl });
  await client.connect();
  await client.query('begin');
  await client.query(...settings);
  const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
    `explain (analyze, format json) ${text}`,
    values,
  );
  const taken = await client.query('select from images where queued_at is not null');
  await client.end();
  expect(taken.rowCount).toBe(PLACES);
  return readIn(rows[0]!['QUERY PLAN'][0].Plan);
}

function readIn(node: PlanNode): number {
  const { 'Actual Rows': rows, 'Actual Loops': loops, 'Rows Removed by Filter': left = 0 } = node;
  const own = node['Relation Name'] === 'images' ? (rows + left) * loops : 0;
  return (node.Plans ?? []).reduce((sum, each) => sum + readIn(each), own);
}

it.each([
  'which the planner does not know of yet',
  'of which the planner has seen one',
  'which the planner knows of',
])('a round reads few rows of an owner for whom very many wait, %s', async (knowledge) => {
  // Else the planner might hear of something in between.
  await app.database.query('alter table images set (autovacuum_enabled = off)');
  await app.database.query('delete from images');
  const upload = app.as(account).post('/api/v1/images/upload');
  const { body } = await upload.attach('image', picture, 'x.png').expect(202);
  if (knowledge.endsWith('one')) await app.database.query('analyze images');
  await app.database.query(
    `insert into images select (jsonb_populate_record(one, jsonb_build_object(
         'id', gen_random_uuid(), 'next_attempt_at', now() - interval '1 minute', 'queued_at', null))).*
       from images as one, generate_series(1, $1) where one.id = $2`,
    [WAITING, body.id],
  );
  if (knowledge.endsWith('knows of')) await app.database.query('analyze images');
  expect(await rowsReadBy(await statementsOfRound())).toBeLessThan(100);
});
