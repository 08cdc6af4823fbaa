import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { MikroORM } from '@mikro-orm/postgresql';
import { newId } from '../src/core/ids.js';
import { Shutdown } from '../src/core/process/shutdown.js';
import { Timers } from '../src/core/reconciler/timers.js';
import { readEnv } from '../src/core/env.js';
import { ormOptions } from '../src/mikro-orm.config.js';
import { productVariables } from './environment.js';
import { createDatabase, type TestDatabase } from './test-database.js';

/** The timers as one process has them. */
interface Replica {
  orm: MikroORM;
  timers: Timers;
  shutdown: Shutdown;
}

let database: TestDatabase;
let replicas: Replica[];
let name: string;

beforeAll(async () => {
  database = await createDatabase();
});

beforeEach(async () => {
  name = newId();
  replicas = await Promise.all([startReplica(), startReplica()]);
});

afterEach(() => Promise.all(replicas.map(({ orm }) => orm.close())));

afterAll(() => database.drop());

async function startReplica(): Promise<Replica> {
  const orm = await MikroORM.init(ormOptions(readEnv(productVariables(database, '/nowhere'))));
  const shutdown = new Shutdown();
  return { orm, shutdown, timers: new Timers(orm.em, shutdown) };
}

const run = (replica: number, work: (signal: AbortSignal) => Promise<unknown>, at = '03:00') =>
  replicas[replica]!.timers.runDaily(name, at, work);

interface TimerRow {
  next: string;
  last_run_at: Date | null;
  lease_id: string | null;
  left: number | null;
}

async function row(): Promise<TimerRow> {
  const [found] = await database.query<TimerRow & Record<string, unknown>>(
    `select to_char(next_run_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as next, last_run_at,
       lease_id, extract(epoch from leased_until - now())::float8 as left
     from timers where name = $1`,
    [name],
  );
  if (!found) throw new Error('There is no such timer');
  return found;
}

/** Lets the night come. */
async function makeDue(): Promise<void> {
  await database.query(
    `update timers set next_run_at = now() - interval '1 second' where name = $1`,
    [name],
  );
}

/** The next time that it is so late, as this process reckons it. */
function next(at: string): string {
  const [hour = 0, minute = 0] = at.split(':').map(Number);
  const time = new Date();
  time.setUTCHours(hour, minute, 0, 0);
  if (time.getTime() <= Date.now()) time.setUTCDate(time.getUTCDate() + 1);
  return time.toISOString().slice(0, 19).replace('T', ' ');
}

/** A time of day so many minutes from now. */
function inMinutes(minutes: number): string {
  return new Date(Date.now() + minutes * 60_000).toISOString().slice(11, 16);
}

describe('a daily timer', () => {
  it('does not run on first sight, but is written down for the next such time', async () => {
    for (const at of ['00:00', '03:00', '23:59', inMinutes(-5), inMinutes(5)]) {
      name = newId();
      expect(await run(0, async () => 'ran', at)).toBeUndefined();
      expect(await row()).toMatchObject({ next: next(at), last_run_at: null, lease_id: null });
    }
  });

  it('runs once when its time has come, whichever replicas look, and again the next day', async () => {
    await run(0, async () => 'ran');
    for (let day = 1; day <= 2; day += 1) {
      await makeDue();
      const looks = Array.from({ length: 8 }, (_, index) =>
        run(index % 2, async () => {
          await sleep(100);
          return 'ran';
        }),
      );
      const results = await Promise.all(looks);
      expect(results.filter((result) => result === 'ran')).toHaveLength(1);
      expect(await run(1, async () => 'ran')).toBeUndefined();
      expect(await row()).toMatchObject({
        next: next('03:00'),
        lease_id: null,
        last_run_at: expect.any(Date),
      });
    }
  });

  it('is due again after a rest when its run failed', async () => {
    await run(0, async () => 'ran');
    await makeDue();
    await expect(run(0, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(await run(1, async () => 'ran')).toBeUndefined();
    const { left, last_run_at } = await row();
    expect(left).toBeGreaterThan(500);
    expect(last_run_at).toBeNull();
    await database.query('update timers set leased_until = now() where name = $1', [name]);
    expect(await run(1, async () => 'ran')).toBe('ran');
  });

  it('goes to another replica at once when its own stops', async () => {
    await run(0, async () => 'ran');
    await makeDue();
    const begun = Promise.withResolvers<undefined>();
    const running = run(0, async (signal) => {
      begun.resolve(undefined);
      await sleep(20_000, undefined, { signal });
    });
    await begun.promise;
    replicas[0]!.shutdown.begin();
    await expect(running).rejects.toThrow('aborted');
    expect(await run(1, async () => 'ran')).toBe('ran');
  });

  it('is taken over when its holder died, and not while it lives', async () => {
    await run(0, async () => 'ran');
    await makeDue();
    await database.query(
      `update timers set lease_id = gen_random_uuid(), leased_until = now() + interval '4 seconds'
       where name = $1`,
      [name],
    );
    expect(await run(0, async () => 'ran')).toBeUndefined();
    await sleep(4_100);
    expect(await run(0, async () => 'ran')).toBe('ran');
  });

  it('leaves alone what another holder has by the time that it ends', async () => {
    await run(0, async () => 'ran');
    await makeDue();
    await run(0, async () => {
      await database.query(
        `update timers set lease_id = gen_random_uuid(), leased_until = now() + interval '1 minute'
         where name = $1`,
        [name],
      );
    });
    expect(await row()).toMatchObject({ last_run_at: null, lease_id: expect.any(String) });
  });

  it('comes sooner when its time of day is changed, and never later', async () => {
    const [sooner, later] = [inMinutes(30), inMinutes(60)];
    await run(0, async () => 'ran', later);
    await run(1, async () => 'ran', sooner);
    expect(await row()).toMatchObject({ next: next(sooner) });
    await run(1, async () => 'ran', later);
    expect(await row()).toMatchObject({ next: next(sooner) });
  });
});
