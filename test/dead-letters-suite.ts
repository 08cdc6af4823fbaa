import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { newId } from '../src/core/ids.js';
import { paintPictures } from '../src/generation/generation.jobs.js';
import { convertImage } from '../src/images/conversion/conversion.jobs.js';
import { sendMail } from '../src/mail/mail.jobs.js';
import { registerAdmin } from './administrators.js';
import { eventually } from './eventually.js';
import {
  failLastAttempt,
  giveUp,
  letterBecomes,
  letterOf,
  type LetterRow,
  lettersOf,
} from './given-up.js';
import { uploadPicture } from './image-requests.js';
import { makePicture } from './pictures.js';
import { type Account, TestingApp } from './testing-app.js';
import { duringConversion } from './under-way.js';

const LETTERS = '/api/v1/admin/failed-jobs';

/** What the queue of a product stands on. */
export interface QueueUnderAdministration {
  /** What the product is to be started with. */
  variables: Record<string, string>;
  /** Puts the queue out of reach; absent where PostgreSQL carries it. */
  takeAway?: () => Promise<unknown>;
  bringBack?: () => Promise<unknown>;
  close(): Promise<unknown>;
}

/** Dead letters and the figures of the queues, with a worker, whatever the queue stands on. */
export function describeAdministration(
  name: string,
  make: () => Promise<QueueUnderAdministration>,
): void {
  let subject: QueueUnderAdministration;
  let app: TestingApp;
  let admin: Account;
  let owner: Account;
  let picture: Buffer;

  beforeAll(async () => {
    subject = await make();
    app = await TestingApp.start({ variables: subject.variables });
    admin = await registerAdmin(app);
    owner = await app.register();
    picture = await makePicture();
  });

  afterAll(async () => {
    await app.close();
    await subject.close();
  });

  const retry = ({ id }: { id: string }) => app.as(admin).post(`${LETTERS}/${id}/retry`);
  const imageOf = async ({ row_id: id }: LetterRow) => {
    const [image] = await app.database.query<{ status: string; last_version: number }>(
      'select * from images where id = $1',
      [id],
    );
    return image;
  };
  const auditOf = (id: string) =>
    app.database.query<{ action: string; actor_id: string; after: unknown }>(
      `select action, actor_id, after from audit_entries join audit_details on entry_id = id
       where target_id = $1 order by created_at`,
      [id],
    );

  /** Has no worker take anything while something is done. */
  async function withoutWorker<T>(work: () => Promise<T>): Promise<T> {
    await app.worker?.stop();
    try {
      return await work();
    } finally {
      await app.startWorker();
    }
  }

  describe(`a dead letter, with a queue on ${name},`, () => {
    it('is RETRYING when it is retried, and RESOLVED when its work succeeds', async () => {
      const letter = await giveUp(app, owner, picture);
      expect(await imageOf(letter)).toMatchObject({ status: 'FAILED' });
      const { body } = await withoutWorker(() => retry(letter).expect(202));
      expect(body).toMatchObject({ id: letter.id, status: 'RETRYING', retries: 1 });
      await letterBecomes(app, letter.row_id, 'RESOLVED');
      const shown = await app.as(admin).get(`${LETTERS}/${letter.id}`).expect(200);
      expect(shown.body).toMatchObject({ status: 'RESOLVED', error: letter.error });
      expect(await imageOf(letter)).toMatchObject({ status: 'COMPLETED', attempts: 1 });
      expect(await auditOf(letter.id)).toEqual([
        {
          action: 'dead-letter.retried',
          actor_id: admin.userId,
          after: { status: 'RETRYING' },
        },
      ]);
    });

    it('is FAILED again, with the new error, when its work fails as often again', async () => {
      const letter = await giveUp(app, owner, picture);
      await app.database.query(
        `update failed_jobs set error = 'Error: an old one', fingerprint = 'old' where id = $1`,
        [letter.id],
      );
      await failLastAttempt(app, async () => {
        await retry(letter).expect(202);
        return letter.row_id;
      });
      expect(await lettersOf(app, letter.row_id)).toMatchObject([
        {
          ...{ id: letter.id, status: 'FAILED', retries: 1 },
          error: expect.stringContaining('The folder of files is not there'),
          // One cause, whatever the names of the files.
          fingerprint: letter.fingerprint,
        },
      ]);
      expect(await imageOf(letter)).toMatchObject({ status: 'FAILED' });
    });

    it('is FAILED again when its work is refused', async () => {
      const letter = await giveUp(app, owner, picture);
      await app.worker?.stop();
      await retry(letter).expect(202);
      await app.startWorker({ IMAGE_MAX_PIXELS: '1' });
      await letterBecomes(app, letter.row_id, 'FAILED');
      expect(await lettersOf(app, letter.row_id)).toMatchObject([
        { id: letter.id, status: 'FAILED', error: expect.stringMatching(/^JobRefusal: /) },
      ]);
      expect(await imageOf(letter)).toMatchObject({ error_code: 'too-many-pixels' });
      await app.worker?.stop();
      await app.startWorker();
    });

    it('has its work done once when twenty retry it at once', async () => {
      const letter = await giveUp(app, owner, picture);
      const before = await imageOf(letter);
      const answers = await Promise.all(Array.from({ length: 20 }, () => retry(letter)));
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 202));
      await letterBecomes(app, letter.row_id, 'RESOLVED');
      const late = await retry(letter).expect(202);
      expect(late.body).toMatchObject({ status: 'RESOLVED', retries: 1 });
      const after = await imageOf(letter);
      expect(after).toMatchObject({
        status: 'COMPLETED',
        last_version: (before?.last_version ?? 0) + 1,
      });
      expect(await auditOf(letter.id)).toHaveLength(1);
    });

    it('is RESOLVED by whoever else has its work done', async () => {
      const letter = await giveUp(app, owner, picture);
      await app.as(owner).post(`/api/v1/images/${letter.row_id}/reprocess?wait=30`).expect(200);
      expect(await letterOf(app, letter.row_id)).toMatchObject({ status: 'RESOLVED', retries: 0 });
    });

    it('is RESOLVED after the worker was killed in the middle of its work', async () => {
      const large = await makePicture({ width: 5_000, height: 4_000 });
      const killed = app.worker!;
      const accept = async () => {
        const letter = await giveUp(app, owner, large);
        await retry(letter).expect(202);
        return letter.row_id;
      };
      const id = await duringConversion(app, { worker: killed, accept }, () => killed.kill());
      expect(await letterOf(app, id)).toMatchObject({ status: 'RETRYING' });
      // As when the lease of the dead worker has run out.
      await app.database.query('update images set leased_until = now() where id = $1', [id]);
      await app.startWorker();
      expect(await letterBecomes(app, id, 'RESOLVED')).toMatchObject({ status: 'RESOLVED' });
      expect(await lettersOf(app, id)).toHaveLength(1);
    }, 90_000);

    it('is RESOLVED when its row is deleted, before it is retried and after', async () => {
      const [before, after] = [
        await giveUp(app, owner, picture),
        await giveUp(app, owner, picture),
      ];
      const remove = ({ row_id: id }: LetterRow) =>
        app.as(owner).delete(`/api/v1/images/${id}`).expect(204);
      await remove(before);
      expect((await retry(before).expect(202)).body).toMatchObject({
        status: 'RESOLVED',
        retries: 0,
      });
      await withoutWorker(async () => {
        await retry(after).expect(202);
        await remove(after);
        expect(await letterOf(app, after.row_id)).toMatchObject({ status: 'RETRYING' });
      });
      await letterBecomes(app, after.row_id, 'RESOLVED');
      expect(await letterOf(app, after.row_id)).toMatchObject({ status: 'RESOLVED' });
    });

    it('can be deleted while its work is tried again, which leaves a new one if it fails', async () => {
      const letter = await giveUp(app, owner, picture);
      await failLastAttempt(app, async () => {
        await retry(letter).expect(202);
        await app.as(admin).delete(`${LETTERS}/${letter.id}`).expect(204);
        return letter.row_id;
      });
      const next = await letterOf(app, letter.row_id);
      expect(next).toMatchObject({ status: 'FAILED', retries: 0 });
      expect(next.id).not.toBe(letter.id);
      await app.as(admin).get(`${LETTERS}/${letter.id}`).expect(404);
    });
  });

  describe(`the figures of a queue on ${name}`, () => {
    interface Figures {
      [name: string]: unknown;
      waiting: number | null;
      completed: number;
      failed: number;
      rates: Record<string, Record<string, number>>;
    }

    async function figures(): Promise<Figures> {
      const { body } = await app.as(admin).get('/api/v1/admin/queue-metrics').expect(200);
      const names = body.queues.map((queue: Figures) => queue['name']);
      expect(names).toEqual([convertImage.name, sendMail.name, paintPictures.name]);
      return body.queues[0];
    }

    it('tell what is done, and how fast', async () => {
      const before = await figures();
      await uploadPicture(app, owner, picture);
      await uploadPicture(app, owner, picture);
      await giveUp(app, owner, picture);
      const after = await eventually(figures, ({ waiting }) => waiting === 0);
      expect(after).toMatchObject({ waiting: 0, active: 0, due: 0, oldestDueSeconds: 0 });
      expect(after.completed - before.completed).toBe(2);
      expect(after.failed - before.failed).toBe(1);
      const { oneMinute, fiveMinutes, fifteenMinutes } = after.rates;
      expect(oneMinute?.['completed']).toBeGreaterThanOrEqual(2);
      expect(oneMinute?.['failed']).toBeGreaterThanOrEqual(1);
      expect(fiveMinutes?.['completed']).toBeGreaterThanOrEqual(2 / 5);
      expect(fifteenMinutes?.['failed']).toBeGreaterThanOrEqual(1 / 15);
    });

    it('are right when history was cleaned, and rates are of the last minutes alone', async () => {
      const before = await figures();
      await app.database.query(
        `update settled_attempts set settled_at = settled_at - interval '10 minutes'`,
      );
      const old = await figures();
      expect(old.rates['fiveMinutes']).toEqual({ completed: 0, failed: 0, retried: 0 });
      expect(old.rates['fifteenMinutes']?.['completed']).toBeGreaterThan(0);
      await app.database.query(
        `update settled_attempts set settled_at = settled_at - interval '10 minutes'`,
      );
      // A worker that starts sweeps at once; two at a time add nothing twice.
      await app.worker?.stop();
      const second = await app.startWorker();
      await app.startWorker();
      await eventually(
        () => app.database.query('select 1 from settled_attempts'),
        (rows) => rows.length === 0,
      );
      await second.stop();
      const after = await figures();
      expect([after.completed, after.failed]).toEqual([before.completed, before.failed]);
      expect(after.rates['fifteenMinutes']).toEqual({ completed: 0, failed: 0, retried: 0 });
    });

    it('tell what waits, what rests, and what somebody works on', async () => {
      await withoutWorker(async () => {
        const upload = () =>
          app.as(owner).post('/api/v1/images/upload?force=true').attach('image', picture, 'x');
        const ids = [];
        for (let each = 0; each < 4; each += 1) ids.push((await upload().expect(202)).body.id);
        await app.database.query(
          `update images set next_attempt_at = now() - interval '90 seconds' where id = $1`,
          [ids[0]],
        );
        await app.database.query(
          `update images set next_attempt_at = now() + interval '1 hour' where id = $1`,
          [ids[1]],
        );
        await app.database.query(
          `update images set lease_id = $2, leased_until = now() + interval '1 hour' where id = $1`,
          [ids[2], newId()],
        );
        const seen = await figures();
        expect(seen).toMatchObject({ waiting: 4, due: 2, delayed: 1, active: 1 });
        expect(seen['oldestDueSeconds']).toBeGreaterThanOrEqual(90);
        await app.database.query('delete from images where id = any($1)', [ids]);
      });
    });

    it('are told but for what waits while the queue is away', async () => {
      const { takeAway, bringBack } = subject;
      if (!takeAway || !bringBack) return;
      const before = await eventually(figures, ({ waiting }) => waiting === 0);
      await takeAway();
      try {
        const { waiting, completed } = await figures();
        expect([waiting, completed]).toEqual([null, before.completed]);
      } finally {
        await bringBack();
      }
      const back = await eventually(figures, ({ waiting }) => waiting === 0);
      expect(back.waiting).toBe(0);
    });
  });
}
