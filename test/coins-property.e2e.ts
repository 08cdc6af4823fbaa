import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Coins } from '../src/coins/coins.service.js';
import type { Balance } from '../src/coins/ledger.js';
import { newId } from '../src/core/ids.js';
import { coinsOf, prove, somebody, SOUND, storedBalance, transferCount } from './ledger.js';
import { branch, oneOf, type Random, withSeed } from './random.js';
import { SharedCoins } from './shared-coins.js';
import { TestingApp } from './testing-app.js';

const STEPS = 10_000;
const USERS = 10;
const LANES = 5;
const BATCHES = 20;
/** What was seen so often is no accident of one run. */
const OFTEN = 50;

let app: TestingApp;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
});

afterAll(() => app.close());

type Kind = 'PURCHASE' | 'REWARD' | 'REFUND' | 'GENERATION' | 'CLAWBACK';

const SOURCES = {
  PURCHASE: 'issued',
  CLAWBACK: 'issued',
  REWARD: 'promotions',
  REFUND: 'revenue',
  GENERATION: 'revenue',
} as const;

/** What a ledger should be like, in a few lines: one user's, and what the system has of it. */
class Model {
  posted = 0;
  transfers = 0;
  readonly system = { issued: 0, revenue: 0, promotions: 0 };
  readonly open = new Map<string, number>();
  readonly ended: string[] = [];

  get balance(): Balance {
    const held = [...this.open.values()].reduce((sum, amount) => sum + amount, 0);
    return { posted: this.posted, held, available: this.posted - held };
  }

  move(kind: Kind, change: number): void {
    this.posted += change;
    this.system[SOURCES[kind]] -= change;
    this.transfers += 1;
  }

  hold(holdId: string, amount: number): void {
    this.open.set(holdId, amount);
    this.transfers += 1;
  }

  /** @returns whether it was there to be ended */
  end(holdId: string, charged: number): boolean {
    if (!this.open.delete(holdId)) return false;
    this.ended.push(holdId);
    this.move('GENERATION', -charged);
    return true;
  }
}

/** One user who does at random what can be done, and whose model does the same. */
class Walk {
  readonly model = new Model();
  readonly tally: Record<string, number> = {};
  private readonly repeats: (() => Promise<void>)[] = [];

  constructor(
    private readonly coins: Coins,
    readonly userId: string,
    private readonly random: Random,
  ) {}

  async step(): Promise<void> {
    const step = oneOf(this.random, [
      ...(['credit', 'spend', 'hold', 'hold', 'post', 'post', 'postTooMuch'] as const),
      ...(['end', 'end', 'claw', 'again', 'misuse'] as const),
    ]);
    this.count(step);
    await this[step]();
    expect(await this.coins.balance(this.userId)).toEqual(this.model.balance);
  }

  /** So many that there is mostly something to spend, and not always enough. */
  private async credit(): Promise<void> {
    const kind = oneOf(this.random, ['PURCHASE', 'REWARD', 'REFUND']);
    const amount = 2 * this.amount();
    const movement = { userId: this.userId, amount, kind, reference: newId() };
    await this.repeatable(() => this.coins.credit(movement));
    this.model.move(kind, amount);
  }

  private async spend(): Promise<void> {
    const movement = this.generation();
    if (await this.isRefused(movement.amount, () => this.coins.spend(movement))) return;
    await this.repeatable(() => this.coins.spend(movement));
    this.model.move('GENERATION', -movement.amount);
  }

  private async hold(): Promise<void> {
    const movement = this.generation();
    if (await this.isRefused(movement.amount, () => this.coins.hold(movement))) return;
    const { holdId } = await this.repeatable(() => this.coins.hold(movement));
    this.model.hold(holdId, movement.amount);
  }

  private async post(): Promise<void> {
    const holdId = this.someHold();
    if (holdId === undefined) return;
    const held = this.model.open.get(holdId) ?? 1;
    const charged = this.random(2) === 0 ? held : 1 + this.random(held);
    const isDone = await this.coins.post(holdId, charged);
    expect(isDone).toBe(this.model.end(holdId, charged));
    this.count(isDone ? (charged < held ? 'posted a part' : 'posted all') : 'ended before');
  }

  private async postTooMuch(): Promise<void> {
    const [holdId, held] = [...this.model.open][0] ?? [];
    if (holdId === undefined || held === undefined) return;
    await expect(this.coins.post(holdId, held + 1)).rejects.toThrow(RangeError);
  }

  private async end(): Promise<void> {
    const holdId = this.someHold();
    if (holdId === undefined) return;
    const phase = oneOf(this.random, ['VOID', 'EXPIRE']);
    const isDone = await this.coins.void(holdId, phase);
    expect(isDone).toBe(this.model.end(holdId, 0));
    this.count(isDone ? phase : 'ended before');
  }

  private async claw(): Promise<void> {
    const amount = 2 * this.amount();
    const movement = { userId: this.userId, amount, reference: newId() };
    await this.repeatable(() => this.coins.clawBack(movement));
    this.model.move('CLAWBACK', -amount);
    if (this.model.balance.available < 0) this.count('in debt');
  }

  /** Something that was done before: nothing changes. */
  private async again(): Promise<void> {
    await this.repeats[this.random(this.repeats.length)]?.();
  }

  /** A reference that is taken, for something else: nothing changes. */
  private async misuse(): Promise<void> {
    const movement = { ...this.generation(), kind: 'PURCHASE' } as const;
    await this.coins.credit(movement);
    this.model.move('PURCHASE', movement.amount);
    const other = { ...movement, amount: movement.amount + 1 };
    await expect(this.coins.credit(other)).rejects.toThrow('belongs to another');
  }

  /** Whether it is more than is available; the ledger has to say so, too. */
  private async isRefused(need: number, move: () => Promise<unknown>): Promise<boolean> {
    const { available: have } = this.model.balance;
    if (have >= need) return false;
    await expect(move()).rejects.toMatchObject({ code: 'insufficient-coins', need, have });
    this.count('refused');
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

  private count(what: string): void {
    this.tally[what] = (this.tally[what] ?? 0) + 1;
  }
}

/** What came to pass so rarely that a test of it would be none. */
function rarities(tallies: readonly Record<string, number>[], ...all: string[]): string[] {
  return all.filter((name) => tallies.reduce((sum, each) => sum + (each[name] ?? 0), 0) < OFTEN);
}

/** Has each of many do a batch of steps side by side, then looks, until {@link STEPS} are done. */
async function inBatches(
  steppers: readonly (() => Promise<void>)[],
  look: () => Promise<void>,
): Promise<void> {
  const stepsEach = STEPS / BATCHES / steppers.length;
  expect(Number.isInteger(stepsEach)).toBe(true);
  for (let batch = 0; batch < BATCHES; batch += 1) {
    await Promise.all(
      steppers.map(async (step) => {
        for (let done = 0; done < stepsEach; done += 1) await step();
      }),
    );
    await look();
  }
}

it(
  'any order of credits, holds, endings and clawbacks ends as a simple model has it',
  () =>
    withSeed(async (random) => {
      const { balances: before } = await prove(app);
      const walks = await Promise.all(
        // Each has chance of its own: so its steps are the same however those of others come between.
        Array.from({ length: USERS }, async () => {
          const own = branch(random);
          return new Walk(coinsOf(app), await somebody(app), own);
        }),
      );
      const steppers = walks.map((walk) => () => walk.step());
      await inBatches(steppers, async () => {
        const proof = await prove(app);
        expect(proof).toMatchObject(SOUND);
        for (const name of ['issued', 'revenue', 'promotions'] as const) {
          const moved = walks.reduce((sum, { model }) => sum + model.system[name], 0);
          expect(proof.balances[name]).toBe(before[name] + moved);
        }
        for (const { userId, model } of walks) {
          expect(await storedBalance(app, userId)).toEqual(model.balance);
          expect(await transferCount(app, userId)).toBe(model.transfers);
        }
      });
      const tallies = walks.map(({ tally }) => tally);
      const endings = ['posted all', 'posted a part', 'VOID', 'EXPIRE', 'ended before'];
      expect(rarities(tallies, ...endings, 'refused', 'in debt', 'again', 'misuse')).toEqual([]);
    }),
  180_000,
);

it(
  'lanes that share accounts are told nothing that no order of theirs explains',
  () =>
    withSeed(async (random) => {
      const shared = await Promise.all(
        // Where nothing is clawed back there is never a debt.
        [true, false].map(async (owes) => {
          const userId = await somebody(app);
          return { userId, account: new SharedCoins(coinsOf(app), userId, owes) };
        }),
      );
      const lanes = shared.flatMap(({ account }) =>
        Array.from({ length: LANES }, () => {
          const own = branch(random);
          return () => account.step(own);
        }),
      );
      await inBatches(lanes, async () => {
        expect(await prove(app)).toMatchObject(SOUND);
        for (const { userId, account } of shared) {
          account.check(await storedBalance(app, userId));
          expect(await transferCount(app, userId)).toBe(account.transfers);
        }
      });
      for (const { account } of shared) {
        const { tally } = account;
        expect(rarities([tally], 'refused', 'ended', 'ended before', 'again', 'look')).toEqual([]);
      }
      expect(shared[0]?.account.tally['in debt']).toBeGreaterThan(0);
    }),
  180_000,
);
