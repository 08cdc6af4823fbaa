import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { inFlight } from '../bench/in-flight.js';
import { eventually } from './eventually.js';
import { GeminiServer, pictureOf } from './gemini-server.js';
import {
  balanceOf,
  generate,
  ledgerFaults,
  NO_FAULTS,
  promptOf,
  withCoins,
} from './generation-requests.js';
import { fileFaults, NO_FILE_FAULTS } from './left-behind.js';
import { drawing } from './pictures.js';
import { branch, type Random, withSeed } from './random.js';
import { type Account, TestingApp } from './testing-app.js';

const RACES = 500;
const AT_ONCE = 8;
/** So much longer or shorter one waits with a cancellation after one that came too early or too late. */
const STEP_MS = 5;

let gemini: GeminiServer;
let app: TestingApp;
let ana: Account;

beforeAll(async () => {
  gemini = await GeminiServer.start();
  const variables = {
    ...{ GENERATION_PER_USER: String(AT_ONCE), GENERATION_CONCURRENCY: String(AT_ONCE) },
    ...{ CLEANUP_GRACE_SECONDS: '1' },
  };
  app = await TestingApp.start({ variables: { ...gemini.variables, ...variables } });
  ana = await withCoins(app, 1_000_000);
});

afterAll(async () => {
  await app.close();
  await gemini.close();
});

/** A generation that its owner cancels at about the time when its picture is there. */
interface Race {
  id: string;
  /** What the cancellation was answered. */
  status: number;
}

/** As the tables have it when all is over. */
interface Ended {
  id: string;
  status: string;
  charged: string;
  endings: string[];
  image: string;
  used: string;
}

/**
 * The picture is a small one, and the model sends it at once: then both the worker that makes an image
 * of it and the owner want to end the generation. Whoever loses makes the next race a little later or
 * earlier, so that all of them are close.
 */
class Races {
  private readonly asked = new Map<string, () => void>();
  private delayMs = 100;

  constructor(
    private readonly picture: Buffer,
    private readonly random: Random,
  ) {
    gemini.otherwise = (request) => {
      this.asked.get(promptOf(request))?.();
      return { parts: [pictureOf(this.picture)] };
    };
  }

  async run(name: string): Promise<Race> {
    const asked = Promise.withResolvers<undefined>();
    this.asked.set(name, () => {
      asked.resolve(undefined);
    });
    const { body } = await generate(app, ana, { prompt: name }).expect(202);
    const { id } = body.generation;
    await asked.promise;
    await sleep(Math.max(0, this.delayMs + this.random(4 * STEP_MS) - 2 * STEP_MS));
    const { status } = await app.as(ana).delete(`/api/v1/generations/${id}`);
    this.delayMs = Math.max(0, this.delayMs + (status === 200 ? STEP_MS : -STEP_MS));
    return { id, status };
  }
}

it(
  'a generation that is cancelled when its picture comes is paid for or given back, never both',
  () =>
    withSeed(async (random) => {
      const before = await balanceOf(app, ana);
      const picture = await drawing({ width: 64, height: 64 }).png().toBuffer();
      const races = new Races(picture, branch(random));
      const names = Array.from({ length: RACES }, (_, number) => `A fox, number ${number}`);
      const all = await inFlight(names, AT_ONCE, (name) => races.run(name));

      const rows = await app.database.query<Ended & Record<string, unknown>>(
        `select generations.id, generations.status, coins_charged as charged,
              images.status as image, coins_used as used,
              array(select phase from coin_transfers
                    where coin_transfers.hold_id = generations.hold_id)::text[] as endings
       from generations join generation_images on generation_id = generations.id
       join images on images.id = image_id`,
      );
      const ended = new Map(rows.map((row) => [row.id, row]));
      for (const { id, status } of all) {
        expect(ended.get(id)).toEqual(
          status === 409
            ? {
                id,
                status: 'COMPLETED',
                charged: '100',
                endings: ['POST'],
                image: 'COMPLETED',
                used: '100',
              }
            : { id, status: 'FAILED', charged: '0', endings: ['VOID'], image: 'FAILED', used: '0' },
        );
      }
      const paid = all.filter(({ status }) => status === 409).length;
      const given = all.filter(({ status }) => status === 200).length;
      expect(paid + given).toBe(RACES);
      // Else they were no races.
      expect(paid).toBeGreaterThan(0);
      expect(given).toBeGreaterThan(0);
      const posted = before.posted - paid * 100;
      expect(await balanceOf(app, ana)).toEqual({ posted, held: 0, available: posted });
      expect(await ledgerFaults(app)).toEqual(NO_FAULTS);
      // What came too late is thrown away, now or when its time comes.
      const files = await eventually(
        () => fileFaults(app.variables['DATA_DIR'] ?? '', app.database),
        ({ strays, missing }) => strays.length + missing.length === 0,
      );
      expect(files).toEqual(NO_FILE_FAULTS);
    }),
  180_000,
);
