import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { EntityManager } from '@mikro-orm/postgresql';
import { getQueueToken, Processor } from '@nestjs/bullmq';
import { Injectable, type Type } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import type { Queue } from 'bullmq';
import { pino } from 'pino';
import { z } from 'zod';
import { CoreModule } from '../src/core/core.module.js';
import { readEnv } from '../src/core/env.js';
import { newId } from '../src/core/ids.js';
import { PinoNestLogger } from '../src/core/process/logging.js';
import { RowChanges } from '../src/core/database/row-changes.js';
import { Shutdown } from '../src/core/process/shutdown.js';
import { DatabaseModule } from '../src/database.module.js';
import { Image } from '../src/images/image.entity.js';
import { isAway, workerOptions } from '../src/queue/backend.js';
import { Dispatcher } from '../src/queue/dispatcher.js';
import { JobRefusal } from '../src/queue/job-errors.js';
import { defineJob } from '../src/queue/job.js';
import {
  type Attempt,
  JobProcessor,
  JobServices,
  type WriteOutcome,
} from '../src/queue/job-processor.js';
import { QueueModule } from '../src/queue/queue.module.js';
import { QueueWorkerModule } from '../src/queue/queue-worker.module.js';
import { LeaseLost, WorkLeases } from '../src/queue/work-lease.js';
import { User } from '../src/auth/users/user.entity.js';
import { productVariables } from './environment.js';
import { eventually } from './eventually.js';
import { createDatabase, type TestDatabase } from './test-database.js';

const ATTEMPTS = 3;
const PER_OWNER = 3;
/** For {@link createRows}: as if somebody had handed the rows over, in an hour's time. */
const NOBODY_TAKES_IT = `queued_at = now() + interval '1 hour'`;

/** A job on the table of images, quick to give up. */
const testJob = defineJob({
  name: 'test-work',
  entity: Image,
  owner: 'userId',
  payload: z.strictObject({ imageId: z.uuid() }),
  payloadOf: (imageId) => ({ imageId }),
  rowIdOf: ({ imageId }) => imageId,
  retry: { attempts: ATTEMPTS, backoffMs: 20, maxBackoffMs: 50 },
  /** Longer than a holder goes without renewing its lease. */
  timeoutMs: 7_000,
});

type Work = (image: Image, attempt: Attempt) => Promise<void>;
type Write = (row: Image, em: EntityManager) => Promise<void>;

/** What the test wants the job to do, and what it did. */
const script = {
  work: (async () => undefined) as Work,
  /** What else it writes with its outcome. */
  write: (async () => undefined) as Write,
  started: [] as string[],
  over: [] as string[],
};

/** The lines of the log, of the level `warn` and above. */
const logged: string[] = [];

@Injectable()
@Processor(testJob.name, workerOptions)
class TestProcessor extends JobProcessor<Image> {
  constructor(services: JobServices) {
    super(testJob, services, 4);
  }

  protected async work(image: Image, attempt: Attempt): Promise<WriteOutcome<Image>> {
    script.started.push(image.id);
    await script.work(image, attempt);
    return async (row, em) => {
      await script.write(row, em);
      row.complete({
        version: 1,
        storageKey: row.storageKey,
        storedBytes: 1,
        width: 1,
        height: 1,
        frames: 1,
        hasAlpha: false,
        placeholder: '',
        dominantColor: '#000000',
      });
    };
  }

  override async process(carrier: Parameters<JobProcessor<Image>['process']>[0]): Promise<void> {
    await super.process(carrier);
    script.over.push(testJob.rowIdOf(carrier.data.payload));
  }
}

/** Which carriers wait, in which order; or what they hold. */
export type LostPart = 'the list of its carriers' | 'the contents of its carriers';

export interface QueueUnderTest {
  /** What the product is to be started with. */
  variables: Record<string, string>;
  /** Loses all that the queue carries. */
  empty(): Promise<unknown>;
  /** After how long that is noticed at the latest, in milliseconds. */
  noticesLossMs: number;
  /** Loses a part of what it knows of the carriers that wait. */
  loseInPart(part: LostPart, queue: Queue): Promise<unknown>;
  /** Puts the queue out of reach. */
  takeAway(): Promise<unknown>;
  bringBack(): Promise<unknown>;
  /** Has the queue answer, but take nothing. */
  refuse(): Promise<unknown>;
  relent(): Promise<unknown>;
  close(): Promise<unknown>;
}

/** What the queue must do, whatever it stands on. */
export function describeQueue(
  name: string,
  make: (database: TestDatabase) => Promise<QueueUnderTest>,
): void {
  describe(`a queue on ${name}`, () => {
    let database: TestDatabase;
    let subject: QueueUnderTest;
    let dataDir: string;
    let variables: Record<string, string>;
    let worker: TestingModule;
    let em: EntityManager;
    let dispatcher: Dispatcher;
    let queue: Queue;

    /** A worker process in miniature: the real modules around one job. Not started yet. */
    async function makeWorker(...processors: Type[]): Promise<TestingModule> {
      const env = readEnv(variables);
      const log = { write: (line: string) => void logged.push(line) };
      const logger = new PinoNestLogger(pino({ level: 'warn' }, log));
      return Test.createTestingModule({
        imports: [
          CoreModule.forRoot(env),
          DatabaseModule,
          QueueModule,
          QueueWorkerModule,
          QueueModule.forJob(testJob),
        ],
        providers: processors,
      })
        .setLogger(logger)
        .compile();
    }

    async function startWorker(): Promise<TestingModule> {
      const module = await makeWorker(TestProcessor);
      return module.init();
    }

    beforeAll(async () => {
      database = await createDatabase();
      subject = await make(database);
      dataDir = await mkdtemp(join(tmpdir(), 'atelier-queue-'));
      variables = {
        ...productVariables(database, dataDir),
        ...subject.variables,
        QUEUE_PER_OWNER: String(PER_OWNER),
        RECONCILE_EVERY_MS: '200',
        SHUTDOWN_LEAVE_MS: '0',
        SHUTDOWN_TIMEOUT_MS: '1000',
      };
      worker = await startWorker();
      em = worker.get(EntityManager).fork();
      dispatcher = worker.get(Dispatcher);
      queue = worker.get<Queue>(getQueueToken(testJob.name), { strict: false });
    });

    afterEach(() => {
      script.work = async () => undefined;
      script.write = async () => undefined;
      script.started = [];
      script.over = [];
    });

    afterAll(async () => {
      await worker.close();
      await subject.close();
      await database.drop();
      await rm(dataDir, { recursive: true });
    });

    async function createOwner(): Promise<string> {
      const user = new User({ email: `${newId()}@example.com`, passwordHash: 'none' });
      await em.persist(user).flush();
      return user.id;
    }

    /**
     * Rows that are due, committed, and not yet in the queue.
     *
     * @param changes what is otherwise about them, in SQL: nobody sees them without
     */
    async function createRows(userId: string, count: number, changes = ''): Promise<string[]> {
      const images = Array.from({ length: count }, () => {
        const id = newId();
        return Image.uploaded({
          id,
          userId,
          storageKey: `images/${userId}/1-${id}/original.png`,
          facts: {
            format: 'png',
            width: 1,
            height: 1,
            frames: 1,
            orientation: 1,
            progressive: false,
          },
          bytes: 1,
          checksum: '0'.repeat(64),
          title: null,
          description: null,
          visibility: 'private',
          requestId: `request-${id}`,
        });
      });
      const ids = images.map(({ id }) => id);
      await em.transactional(async (transaction) => {
        await transaction.persist(images).flush();
        const rows = ids.map(() => '?').join();
        if (changes) {
          await transaction.execute(`update images set ${changes} where id in (${rows})`, ids);
        }
      });
      em.clear();
      return ids;
    }

    interface Row {
      id: string;
      status: string;
      attempts: number;
      error_code: string | null;
      next_attempt_at: Date | null;
      lease_id: string | null;
    }

    const rowsOf = (ids: string[]) =>
      database.query<Row>('select * from images where id = any($1) order by id', [ids]);

    async function untilFinal(ids: string[]): Promise<Row[]> {
      return eventually(
        () => rowsOf(ids),
        (rows) => rows.every(({ next_attempt_at }) => next_attempt_at === null),
      );
    }

    /** As if the rows had been handed over so long ago that their carriers count as lost. */
    const waitLong = (ids: string[]) =>
      database.query(
        `update images set queued_at = queued_at - interval '1 minute' where id = any($1)`,
        [ids],
      );

    /** The carriers of the rows that wait, in their order. */
    const carriersOf = async (ids: string[]) =>
      (await queue.getWaiting())
        .map(({ id = '' }) => id)
        .filter((id) => ids.some((rowId) => id.includes(rowId)));

    /** The same, once there is one for each: the reconciler may be at it, too. */
    const untilCarried = (ids: string[]) =>
      eventually(
        () => carriersOf(ids),
        (carriers) => carriers.length === ids.length,
      );

    /** Does something while nobody takes carriers, as if there were no worker. */
    async function whileIdle<T>(act: () => Promise<T>): Promise<T> {
      await queue.pause();
      try {
        return await act();
      } finally {
        await queue.resume();
      }
    }

    const lettersOf = (ids: string[]) =>
      database.query('select * from failed_jobs where row_id = any($1)', [ids]);

    describe('a job', () => {
      it('completes its row, which is then nobody’s work any more', async () => {
        const ids = await createRows(await createOwner(), 1);
        await dispatcher.enqueue(testJob, ids[0]!);
        expect(await untilFinal(ids)).toMatchObject([
          { status: 'COMPLETED', attempts: 1, lease_id: null, next_attempt_at: null },
        ]);
      });

      it('does its work once when it is carried twice, at once or later', async () => {
        const ids = await createRows(await createOwner(), 1);
        const carrier = { payload: testJob.payloadOf(ids[0]!), requestId: null };
        script.work = () => sleep(100);
        await Promise.all(
          [1, 2, 3].map((n) => queue.add(testJob.name, carrier, { jobId: `twin-${n}` })),
        );
        expect(await untilFinal(ids)).toMatchObject([{ status: 'COMPLETED', attempts: 1 }]);
        await queue.add(testJob.name, carrier, { jobId: 'late-twin', removeOnComplete: true });
        await eventually(
          () => queue.getJobCounts('waiting', 'active'),
          ({ waiting, active }) => waiting === 0 && active === 0,
        );
        expect(script.started).toEqual(ids);
      });

      it('is tried again after a fault, and completes when the fault is gone', async () => {
        const ids = await createRows(await createOwner(), 1);
        script.work = async (_image, { number }) => {
          if (number < ATTEMPTS) throw new Error('not yet');
        };
        await dispatcher.enqueue(testJob, ids[0]!);
        expect(await untilFinal(ids)).toMatchObject([{ status: 'COMPLETED', attempts: ATTEMPTS }]);
        expect(await lettersOf(ids)).toEqual([]);
      });

      it('becomes a dead letter, with its row FAILED, when its attempts are used up', async () => {
        const ids = await createRows(await createOwner(), 2);
        script.work = async (image) => {
          throw new Error(`No connection for ${image.id}`, { cause: new Error('refused') });
        };
        await dispatcher.sweep(testJob);
        const rows = await untilFinal(ids);
        expect(rows).toMatchObject([
          { status: 'FAILED', attempts: ATTEMPTS, error_code: 'internal-error' },
          { status: 'FAILED', attempts: ATTEMPTS, error_code: 'internal-error' },
        ]);
        const letters = await lettersOf(ids);
        expect(letters).toHaveLength(2);
        expect(letters[0]).toMatchObject({
          type: 'test-work',
          status: 'FAILED',
          attempts: ATTEMPTS,
          error: expect.stringContaining('Caused by: Error: refused'),
          request_id: expect.stringMatching(/^request-/),
        });
        // One cause has one fingerprint, whatever ids its message holds.
        expect(letters[0]?.['fingerprint']).toBe(letters[1]?.['fingerprint']);
      });

      it('ends FAILED at once, without a dead letter, when it is refused', async () => {
        const ids = await createRows(await createOwner(), 1);
        script.work = async () => {
          throw new JobRefusal('undecodable', 'It is no picture.');
        };
        await dispatcher.enqueue(testJob, ids[0]!);
        expect(await untilFinal(ids)).toMatchObject([
          { status: 'FAILED', attempts: 1, error_code: 'undecodable' },
        ]);
        expect(await lettersOf(ids)).toEqual([]);
      });

      it('fails an attempt that takes too long', async () => {
        const ids = await createRows(await createOwner(), 1);
        script.work = async (_image, { signal, number }) => {
          if (number === 1) await sleep(60_000, undefined, { signal });
        };
        await dispatcher.enqueue(testJob, ids[0]!);
        expect(await untilFinal(ids)).toMatchObject([{ status: 'COMPLETED', attempts: 2 }]);
      });

      it('is given up when its worker died during every attempt', async () => {
        const ids = await createRows(await createOwner(), 1, `attempts = ${ATTEMPTS}`);
        await dispatcher.enqueue(testJob, ids[0]!);
        expect(await untilFinal(ids)).toMatchObject([
          { status: 'FAILED', error_code: 'internal-error' },
        ]);
        expect(await lettersOf(ids)).toMatchObject([
          { attempts: ATTEMPTS, error: expect.stringContaining('died during each') },
        ]);
        expect(script.started).toEqual([]);
      });

      it('is taken over when its holder died', async () => {
        const ids = await createRows(
          await createOwner(),
          1,
          `status = 'PROCESSING', attempts = 1, lease_id = gen_random_uuid(),
           leased_until = now() + interval '1 second'`,
        );
        expect(await untilFinal(ids)).toMatchObject([{ status: 'COMPLETED', attempts: 2 }]);
      });

      it('writes nothing when its lease was lost to another holder', async () => {
        const ids = await createRows(await createOwner(), 1);
        script.work = async (image) => {
          await database.query(
            `update images set lease_id = gen_random_uuid(), leased_until = now() + interval '1 minute'
         where id = $1`,
            [image.id],
          );
        };
        await dispatcher.enqueue(testJob, ids[0]!);
        await eventually(
          async () => script.over,
          (over) => over.includes(ids[0]!),
        );
        expect(script.over).toContain(ids[0]);
        expect(await rowsOf(ids)).toMatchObject([{ status: 'PROCESSING' }]);
        await database.query('delete from images where id = any($1)', [ids]);
      });

      it('is not worked on when its payload is not what the job carries', async () => {
        await queue.add(testJob.name, { payload: { imageId: 'drop table' } }, { jobId: 'hostile' });
        const failed = await eventually(
          () => queue.getJob('hostile'),
          (job) => job?.failedReason !== undefined,
        );
        expect(failed?.failedReason).toContain('imageId');
        await failed?.remove();
      });

      it('loses nothing when the queue is emptied under load', async () => {
        const owners = await Promise.all(Array.from({ length: 5 }, createOwner));
        script.work = () => sleep(30);
        const ids = (await Promise.all(owners.map((owner) => createRows(owner, 8)))).flat();
        await dispatcher.sweep(testJob);
        for (let round = 0; round < 5; round += 1) {
          await sleep(60);
          await subject.empty();
        }
        const emptiedAt = performance.now();
        const rows = await eventually(
          () => rowsOf(ids),
          (all) => all.every(({ status }) => status === 'COMPLETED'),
          30_000,
        );
        expect(performance.now() - emptiedAt).toBeLessThan(subject.noticesLossMs);
        expect(rows.map(({ status }) => status)).toEqual(ids.map(() => 'COMPLETED'));
        expect(rows.every(({ attempts }) => attempts === 1)).toBe(true);
        expect(script.started.toSorted()).toEqual(ids.toSorted());
      }, 60_000);

      it.each(['the list of its carriers', 'the contents of its carriers'] as const)(
        'is not forgotten when the queue loses %s',
        async (part) => {
          const owner = await createOwner();
          const ids = await whileIdle(async () => {
            const idle = await createRows(owner, PER_OWNER);
            await dispatcher.enqueue(testJob, idle[0]!);
            expect(await untilCarried(idle)).toHaveLength(PER_OWNER);
            await subject.loseInPart(part, queue);
            return idle;
          });
          const rows = await eventually(
            () => rowsOf(ids),
            (all) => all.every(({ status }) => status === 'COMPLETED'),
            25_000,
          );
          expect(rows.map(({ status, attempts }) => [status, attempts])).toEqual(
            ids.map(() => ['COMPLETED', 1]),
          );
        },
        40_000,
      );

      it('leaves other owners their turn, and at most a few places to one', async () => {
        const [greedy, modest] = await Promise.all([createOwner(), createOwner()]);
        const bothAreThere = Promise.withResolvers<undefined>();
        script.work = async () => {
          await bothAreThere.promise;
          await sleep(40);
        };
        const many = await createRows(greedy, 30);
        await dispatcher.sweep(testJob);
        const one = await createRows(modest, 1);
        await dispatcher.sweep(testJob);
        bothAreThere.resolve(undefined);
        let mostAtOnce = 0;
        const all = [...many, ...one];
        while ((await rowsOf(all)).some(({ status }) => status !== 'COMPLETED')) {
          const [{ places } = { places: 0 }] = await database.query<{ places: number }>(
            `select count(*)::int as places from images where user_id = $1
           and next_attempt_at is not null and (queued_at is not null or leased_until > now())`,
            [greedy],
          );
          mostAtOnce = Math.max(mostAtOnce, places);
          await dispatcher.sweep(testJob);
        }
        expect(mostAtOnce).toBeGreaterThan(0);
        expect(mostAtOnce).toBeLessThanOrEqual(PER_OWNER);
        expect(script.started.indexOf(one[0]!)).toBeLessThan(many.length / 2);
      });
    });

    describe('an outcome', () => {
      it('is written once the database is back, and the work is not done again', async () => {
        const ids = await createRows(await createOwner(), 1);
        let writes = 0;
        script.write = async (_row, inner) => {
          writes += 1;
          if (writes === 1) await inner.execute('select pg_terminate_backend(pg_backend_pid())');
        };
        await dispatcher.enqueue(testJob, ids[0]!);
        const [row] = await untilFinal(ids);
        expect(row).toMatchObject({ status: 'COMPLETED', attempts: 1 });
        expect([script.started.length, writes]).toEqual([1, 2]);
      });

      it('is written once the database is back also when it is a refusal', async () => {
        // A sequence counts also what is rolled back.
        await database.query(`
          create sequence refused;
          create function refuse() returns trigger language plpgsql security definer as $$
            begin
              if nextval('public.refused') = 1 then
                raise exception 'The server is shutting down' using errcode = '57P01';
              end if;
              return new;
            end $$;
          create trigger refuse before update on images for each row
            when (new.status = 'FAILED') execute function refuse()`);
        script.work = async () => {
          throw new JobRefusal('not-wanted', 'Nobody wants it.');
        };
        const ids = await createRows(await createOwner(), 1);
        await dispatcher.enqueue(testJob, ids[0]!);
        const [row] = await untilFinal(ids);
        await database.query('drop function refuse cascade; drop sequence refused');
        expect(row).toMatchObject({ status: 'FAILED', attempts: 1, error_code: 'not-wanted' });
        expect(script.started).toHaveLength(1);
      });

      it('is nobody’s fault when somebody else has ended the work before', async () => {
        const ids = await createRows(await createOwner(), 1);
        script.work = async (image) => {
          await database.query('delete from images where id = $1', [image.id]);
          throw new JobRefusal('not-wanted', 'Nobody wants it.');
        };
        await dispatcher.enqueue(testJob, ids[0]!);
        await eventually(
          async () => script.over,
          (over) => over.includes(ids[0]!),
        );
        expect(logged.filter((line) => line.includes(ids[0]!))).toEqual([]);
      });

      it('is told to who tidies up, whatever it is', async () => {
        const told: boolean[] = [];
        script.work = async (_image, attempt) => {
          attempt.onceOver(async (isWritten) => {
            told.push(isWritten);
            throw new Error('Tidying up may fail');
          });
          if (attempt.number === 1) throw new Error('The first one always fails');
        };
        const ids = await createRows(await createOwner(), 1);
        await dispatcher.enqueue(testJob, ids[0]!);
        const [row] = await untilFinal(ids);
        expect(row?.status).toBe('COMPLETED');
        await eventually(
          async () => told,
          (all) => all.length === 2,
        );
        expect(told).toEqual([false, true]);
      });
    });

    describe('a lease', () => {
      it('can be renewed by its holder, and only while it holds the row', async () => {
        const leases = worker.get(WorkLeases);
        const ids = await createRows(await createOwner(), 1, NOBODY_TAKES_IT);
        const lease = await leases.take(testJob, ids[0]!);
        expect(lease).toBeDefined();
        expect(await leases.take(testJob, ids[0]!)).toBeUndefined();
        await database.query(
          `update images set leased_until = now() + interval '100 ms' where id = $1`,
          ids,
        );
        await leases.renew(lease!);
        const [held] = await database.query<{ left: number }>(
          'select extract(epoch from leased_until - now())::float8 as left from images where id = $1',
          ids,
        );
        expect(held?.left).toBeGreaterThan(10);
        await database.query('update images set lease_id = gen_random_uuid() where id = $1', ids);
        await expect(leases.renew(lease!)).rejects.toThrow(LeaseLost);
        await expect(leases.complete(lease!, () => undefined)).rejects.toThrow(LeaseLost);
        await database.query('delete from images where id = $1', ids);
      });

      it('is asked for once when asking for it fails by a mistake, and not again and again', async () => {
        // A sequence counts also what is rolled back.
        await database.query(`
          create sequence asked;
          create function refuse() returns trigger language plpgsql security definer as $$
            begin perform nextval('public.asked'); return new.attempts / 0; end $$;
          create trigger refuse before update on images for each row
            when (new.lease_id is distinct from old.lease_id) execute function refuse()`);
        const ids = await createRows(await createOwner(), 1);
        await dispatcher.sweep(testJob);
        const asked = async () => {
          const [row] = await database.query<{ times: number }>(
            'select case when is_called then last_value else 0 end::int as times from asked',
          );
          return row?.times;
        };
        await eventually(asked, (times) => times === 1);
        await sleep(1_000);
        expect(await asked()).toBe(1);
        await database.query('drop function refuse cascade; drop sequence asked');
        await database.query('delete from images where id = $1', ids);
      });

      it('is not given before the row is due', async () => {
        const later = `next_attempt_at = now() + interval '1 hour'`;
        const ids = await createRows(await createOwner(), 1, later);
        expect(await worker.get(WorkLeases).take(testJob, ids[0]!)).toBeUndefined();
        await database.query('delete from images where id = $1', ids);
      });

      it('ends the work when it is lost', async () => {
        const ids = await createRows(await createOwner(), 1);
        let aborted: unknown;
        script.work = async (image, { signal }) => {
          await database.query('delete from images where id = $1', [image.id]);
          await sleep(20_000, undefined, { signal }).catch(() => {
            aborted = signal.reason;
          });
        };
        await dispatcher.enqueue(testJob, ids[0]!);
        await eventually(
          async () => script.over,
          (over) => over.includes(ids[0]!),
        );
        expect(aborted).toBeInstanceOf(LeaseLost);
        expect(script.over).toContain(ids[0]);
      });

      it('that is lost ends the work as soon as that is announced', async () => {
        const ids = await createRows(await createOwner(), 1);
        // Nobody finds out by renewing.
        const renew = jest.spyOn(worker.get(WorkLeases), 'renew').mockResolvedValue(undefined);
        let aborted: unknown;
        const begun = Promise.withResolvers<undefined>();
        script.work = async (_image, { signal }) => {
          begun.resolve(undefined);
          await sleep(testJob.timeoutMs - 1_000, undefined, { signal }).catch(() => {
            aborted = signal.reason;
          });
        };
        await dispatcher.enqueue(testJob, ids[0]!);
        await begun.promise;
        await em.fork().transactional(async (inner) => {
          await inner.execute('delete from images where id = ?', ids);
          await worker.get(RowChanges).announce(inner, ids[0]!);
        });
        await eventually(
          async () => script.over,
          (over) => over.includes(ids[0]!),
        );
        renew.mockRestore();
        expect(aborted).toBeInstanceOf(LeaseLost);
      });

      it('leaves a row that somebody holds to the next, where others wait for their turn', async () => {
        const few = { ...testJob, atOnce: () => 2 };
        const ids = await createRows(await createOwner(), 2, NOBODY_TAKES_IT);
        const leases = worker.get(WorkLeases);
        await em.fork().transactional(async (inner) => {
          await inner.execute('select 1 from images where id = ? for update', [ids[0]!]);
          expect(await leases.take(few, ids[0]!)).toBeUndefined();
          expect(await leases.take(few, ids[1]!)).toBeDefined();
        });
        await database.query('delete from images where id = any($1)', [ids]);
      });

      it('is given for so many rows of a job at once as it says, however many ask', async () => {
        const few = { ...testJob, atOnce: () => 2 };
        const ids = await createRows(await createOwner(), 8, NOBODY_TAKES_IT);
        const leases = worker.get(WorkLeases);
        const taken = await Promise.all(ids.map((id) => leases.take(few, id)));
        expect(taken.filter((lease) => lease !== undefined)).toHaveLength(2);
        await leases.giveBack(taken.find((lease) => lease !== undefined)!);
        const next = await leases.take(few, ids[taken.indexOf(undefined)]!);
        expect(next).toBeDefined();
        await database.query('delete from images where id = any($1)', [ids]);
      });
    });

    describe('dispatching', () => {
      it('gives an owner no more places when many rounds run at once', async () => {
        const owner = await createOwner();
        const ids = await createRows(owner, 30);
        const release = Promise.withResolvers<undefined>();
        script.work = () => release.promise;
        await Promise.all(Array.from({ length: 12 }, () => dispatcher.sweep(testJob)));
        const [{ places } = { places: 0 }] = await database.query<{ places: number }>(
          `select count(*)::int as places from images
       where user_id = $1 and (queued_at is not null or leased_until > now())`,
          [owner],
        );
        expect(places).toBe(PER_OWNER);
        release.resolve(undefined);
        await untilFinal(ids);
      });

      it('leaves nothing to the next sweep when many requests hand over at once', async () => {
        const owners = await Promise.all(Array.from({ length: 20 }, createOwner));
        let left = Infinity;
        // They wait for each other for half a second, which a machine may stand still for.
        for (let tries = 0; tries < 3 && left > 0; tries += 1) {
          const ids = await whileIdle(async () => {
            const all = (await Promise.all(owners.map((owner) => createRows(owner, 1)))).flat();
            await Promise.all(all.map((id) => dispatcher.enqueue(testJob, id)));
            left = all.length - (await carriersOf(all)).length;
            return all;
          });
          await untilFinal(ids);
        }
        expect(left).toBe(0);
      });

      it('names a carrier by its row and its attempt', async () => {
        const ids = await createRows(await createOwner(), 1);
        const release = Promise.withResolvers<undefined>();
        script.work = () => release.promise;
        await dispatcher.enqueue(testJob, ids[0]!);
        // The reconciler may have been quicker, and be handing it over yet.
        const carrier = await eventually(
          () => queue.getJob(`test-work-${ids[0] ?? ''}-0`),
          (job) => job !== undefined,
        );
        expect(carrier).toBeDefined();
        release.resolve(undefined);
        await untilFinal(ids);
      });

      it('adds no carriers to those that wait for long, and leaves them their places', async () => {
        const owner = await createOwner();
        const ids = await whileIdle(async () => {
          const waiting = await createRows(owner, PER_OWNER);
          await dispatcher.sweep(testJob);
          const before = await untilCarried(waiting);
          expect(before).toHaveLength(PER_OWNER);
          for (let round = 0; round < 3; round += 1) {
            await waitLong(waiting.slice(0, 1));
            await dispatcher.sweep(testJob);
          }
          expect(await carriersOf(waiting)).toEqual(before);
          return waiting;
        });
        expect(await untilFinal(ids)).toMatchObject(ids.map(() => ({ attempts: 1 })));
      });

      it('does not fail a request when the queue cannot be reached', async () => {
        const ids = await createRows(await createOwner(), 1);
        await subject.takeAway();
        try {
          await expect(dispatcher.enqueue(testJob, ids[0]!)).resolves.toBeUndefined();
        } finally {
          await subject.bringBack();
        }
        expect(await untilFinal(ids)).toMatchObject([{ status: 'COMPLETED' }]);
      });
    });

    describe('a queue that refuses', () => {
      beforeAll(() => subject.refuse());
      afterAll(() => subject.relent());

      it('is told of now and then, and not with each request', async () => {
        const ids = await createRows(await createOwner(), 8);
        // What is known to be away is not asked, and tells of itself.
        await eventually(
          () => isAway(queue),
          (away) => !away,
        );
        const before = logged.length;
        for (const id of ids) await dispatcher.enqueue(testJob, id);
        const warnings = logged.slice(before).filter((line) => line.includes('"level":40'));
        expect(warnings.length).toBeLessThan(ids.length / 2);
        expect(logged.join('')).toContain('Not handed over');
        await database.query('delete from images where id = any($1)', [ids]);
      });
    });

    describe('a change of a row', () => {
      it('wakes who waits for it, without waiting for the next look', async () => {
        const changes = worker.get(RowChanges);
        const id = newId();
        // More than there would be in that time without the announcements: one a second.
        const seconds = 20;
        let looksLeft = 2 * seconds;
        const announcing = setInterval(() => {
          changes.announce(em.fork(), id).catch(() => undefined);
        }, 50);
        const outcome = await changes.waitFor(id, seconds, async () => {
          looksLeft -= 1;
          return looksLeft <= 0 ? 'done' : undefined;
        });
        clearInterval(announcing);
        expect(outcome).toBe('done');
      });
    });

    describe('a worker that stops', () => {
      it('gives unfinished work back, and the attempt does not count', async () => {
        const ids = await createRows(await createOwner(), 1);
        script.work = (_image, { signal }) => sleep(60_000, undefined, { signal });
        await dispatcher.enqueue(testJob, ids[0]!);
        await eventually(
          async () => script.started,
          (started) => started.length > 0,
        );
        worker.get(Shutdown).begin();
        await worker.close();
        expect(await rowsOf(ids)).toMatchObject([
          { status: 'PROCESSING', attempts: 0, lease_id: null },
        ]);

        script.work = async () => undefined;
        worker = await startWorker();
        expect(await untilFinal(ids)).toMatchObject([{ status: 'COMPLETED', attempts: 1 }]);
      });
    });

    describe('the boot of a worker', () => {
      async function expectBootToStop(message: string, ...processors: Type[]): Promise<void> {
        const module = await makeWorker(...processors);
        await expect(module.init()).rejects.toThrow(message);
        await module.close();
      }

      it('stops at a processor of an unknown job', async () => {
        @Injectable()
        @Processor('other-work')
        class OtherProcessor extends JobProcessor<Image> {
          constructor(services: JobServices) {
            super({ ...testJob, name: 'other-work' }, services, 1);
          }

          protected async work(): Promise<WriteOutcome<Image>> {
            return () => undefined;
          }
        }
        await expectBootToStop(
          'Processors of unknown jobs: other-work',
          TestProcessor,
          OtherProcessor,
        );
      });

      it('stops at two processors of one job', async () => {
        @Injectable()
        @Processor(testJob.name, workerOptions)
        class SecondProcessor extends JobProcessor<Image> {
          constructor(services: JobServices) {
            super(testJob, services, 1);
          }

          protected async work(): Promise<WriteOutcome<Image>> {
            return () => undefined;
          }
        }
        await expectBootToStop(
          'The job test-work has two processors',
          TestProcessor,
          SecondProcessor,
        );
      });
    });
  });
}
