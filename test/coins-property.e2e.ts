import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Coins } from '../src/coins/coins.service.js';
import type { Balance } from '../src/coins/ledger.js';
import { newId } from '../src/core/ids.js';
import { coinsOf, prove, somebody, SOUND } from './ledger.js';
import { type Random, seededRandom } from './random.js';
import { TestingApp } from './testing-app.js';

const USERS = 10;
const BATCHES = 20;
const STEPS_EACH = 50;

let app: TestingApp;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
});

afterAll(() => app.close());

/** What a ledger should be like, in a few lines: one user's. */
class Model {
  posted = 0;
  readonly open = new Map<string, number>();
  readonly ended: string[] = [];

  get balance(): Balance {
    const held = [...this.open.values()].reduce((sum, amount) => sum + amount, 0);
    return { posted: this.posted, held, available: this.posted - held };
  }

  /** @returns whether it was there to be ended */
  end(holdId: string, charged: number): boolean {
    if (!this.open.delete(holdId)) return false;
    this.ended.push(holdId);
    this.posted -= charged;
    return true;
  }
}

/** One user who does at random what can be done, and whose model does the same. */
class Walk {
  private readonly model = new Model();
  private readonly repeats: (() => Promise<void>)[] = [];
  readonly tally: Record<string, number> = {};

  constructor(
    private readonly coins: Coins,
    private readonly userId: string,
    private readonly random: Random,
  ) {}

  async step(): Promise<void> {
    const steps = [
      'credit',
      'spend',
      'hold',
      'hold',
      'post',
      'end',
      'end',
      'claw',
      'again',
    ] as const;
    const name = steps[this.random(steps.length)] ?? 'credit';
    this.tally[name] = (this.tally[name] ?? 0) + 1;
    await this[name]();
  }

  async check(): Promise<void> {
    expect(await this.coins.balance(this.userId)).toEqual(this.model.balance);
  }

  private async credit(): Promise<void> {
    const kind = (['PURCHASE', 'REWARD', 'REFUND'] as const)[this.random(3)] ?? 'REWARD';
    const movement = { userId: this.userId, amount: this.amount(), kind, reference: newId() };
    await this.repeatable(() => this.coins.credit(movement));
    this.model.posted += movement.amount;
  }

  private async spend(): Promise<void> {
    const movement = this.generation();
    if (await this.isRefused(movement.amount, () => this.coins.spend(movement))) return;
    await this.repeatable(() => this.coins.spend(movement));
    this.model.posted -= movement.amount;
  }

  private async hold(): Promise<void> {
    const movement = this.generation();
    if (await this.isRefused(movement.amount, () => this.coins.hold(movement))) return;
    const { holdId } = await this.repeatable(() => this.coins.hold(movement));
    this.model.open.set(holdId, movement.amount);
  }

  private async post(): Promise<void> {
    const holdId = this.someHold();
    if (holdId === undefined) return;
    const held = this.model.open.get(holdId) ?? 1;
    const charged = this.random(2) === 0 ? held : 1 + this.random(held);
    const isDone = await this.coins.post(holdId, charged);
    expect(isDone).toBe(this.model.end(holdId, charged));
  }

  private async end(): Promise<void> {
    const holdId = this.someHold();
    if (holdId === undefined) return;
    const phase = this.random(2) === 0 ? 'VOID' : 'EXPIRE';
    expect(await this.coins.void(holdId, phase)).toBe(this.model.end(holdId, 0));
  }

  private async claw(): Promise<void> {
    const movement = { userId: this.userId, amount: this.amount(), reference: newId() };
    await this.repeatable(() => this.coins.clawBack(movement));
    this.model.posted -= movement.amount;
  }

  /** Something that was done before: nothing changes. */
  private async again(): Promise<void> {
    await this.repeats[this.random(this.repeats.length)]?.();
  }

  /** Whether it is more than is available; the ledger has to say so, too. */
  private async isRefused(need: number, move: () => Promise<unknown>): Promise<boolean> {
    const { available: have } = this.model.balance;
    if (have >= need) return false;
    await expect(move()).rejects.toMatchObject({ code: 'insufficient-coins', need, have });
    return true;
  }

  private async repeatable<T>(move: () => Promise<T>): Promise<T> {
    const first = await move();
    this.repeats.push(async () => {
      expect(await move()).toEqual(first);
    });
    return first;
  }

  private generation() {
    const reference = newId();
    return { userId: this.userId, amount: this.amount(), kind: 'GENERATION', reference } as const;
  }

  /** Mostly one that is open. */
  private someHold(): string | undefined {
    const { open, ended } = this.model;
    const some = this.random(4) === 0 ? ended : [...open.keys()];
    return some[this.random(some.length)];
  }

  private amount(): number {
    return 1 + this.random(100);
  }
}

it('any order of credits, holds, endings and clawbacks ends as a simple model has it', async () => {
  const seed = Number(process.env['SEED'] ?? randomInt(2 ** 31));
  try {
    const random = seededRandom(seed);
    const coins = coinsOf(app);
    const walks = await Promise.all(
      // Each has chance of its own: so its steps are the same however those of others come between.
      Array.from({ length: USERS }, async () => {
        const own = seededRandom(random(2 ** 31 - 1));
        return new Walk(coins, await somebody(app), own);
      }),
    );
    for (let batch = 0; batch < BATCHES; batch += 1) {
      await Promise.all(
        walks.map(async (walk) => {
          for (let step = 0; step < STEPS_EACH; step += 1) await walk.step();
          await walk.check();
        }),
      );
      expect(await prove(app)).toMatchObject(SOUND);
    }
    const steps = walks.flatMap(({ tally }) => Object.values(tally));
    expect(steps.reduce((sum, count) => sum + count, 0)).toBe(USERS * BATCHES * STEPS_EACH);
    const phases = await app.database.query('select distinct kind, phase from coin_transfers');
    expect(phases.length).toBe(3 + 1 + 1 + 4);
  } catch (error) {
    throw new Error(`With SEED=${seed}: ${(error as Error).message}`, { cause: error });
  }
}, 180_000);
