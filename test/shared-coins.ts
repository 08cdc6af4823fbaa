import { expect } from '@jest/globals';
import type { Coins } from '../src/coins/coins.service.js';
import { InsufficientCoins } from '../src/coins/coins.problems.js';
import type { Balance } from '../src/coins/ledger.js';
import { newId } from '../src/core/ids.js';
import { oneOf, type Random } from './random.js';

/** Something that took place at one moment between two ticks of a clock; nobody knows which. */
interface Span {
  from: number;
  /** Infinity as long as it is not known to have taken place. */
  to: number;
}

/** A movement under its reference, however often it is asked for. */
interface Movement extends Span {
  readonly call: () => Promise<string>;
  /** How it changes `posted` and `held`. */
  readonly posted: number;
  readonly held: number;
  /** What has to be available for it; absent for what is never refused. */
  readonly need?: number;
  /** The answer, once there is one. */
  id?: string;
}

interface Hold {
  readonly id: string;
  readonly amount: number;
  /** What ended it. */
  ending?: Span & { charged: number };
  /** When somebody was told that it had ended already. */
  readonly refusedAt: number[];
}

/** That so much was available at some moment of the span. */
interface Claim extends Span {
  readonly least: number;
  readonly most: number;
}

/** How much more, or less, was available from some moment of the span on. */
interface Change extends Span {
  readonly available: number;
}

/**
 * One account that several lanes use at once. Nobody can know in what order the ledger takes what comes
 * together, so this is the model of what holds in any order: each answer must have been right at some
 * moment between its question and itself.
 */
export class SharedCoins {
  private now = 0;
  private readonly movements: Movement[] = [];
  private readonly holds: Hold[] = [];
  private readonly claims: Claim[] = [];
  /** What came to pass, for a test to see that everything did. */
  readonly tally: Record<string, number> = {};

  /** @param owes whether coins are clawed back, too; nothing else may leave a debt */
  constructor(
    private readonly coins: Coins,
    private readonly userId: string,
    private readonly owes: boolean,
  ) {}

  /** What a lane does next. */
  async step(random: Random): Promise<void> {
    const steps = ['credit', 'spend', 'hold', 'hold', 'post', 'end', 'again', 'look'] as const;
    const step = oneOf(random, this.owes ? [...steps, 'claw'] : steps);
    this.count(step);
    await this[step](random);
  }

  /** Holds everything against everything, when no lane is under way. */
  check(balance: Balance): void {
    const done = this.movements.filter(({ id }) => id !== undefined);
    const open = this.holds.filter(({ ending }) => !ending);
    const charged = sum(this.holds.map(({ ending }) => ending?.charged ?? 0));
    const posted = sum(done.map((each) => each.posted)) - charged;
    const held = sum(open.map(({ amount }) => amount));
    expect(balance).toEqual({ posted, held, available: posted - held });
    for (const { ending, refusedAt } of this.holds) {
      for (const at of refusedAt) expect(ending?.from ?? Infinity).toBeLessThan(at);
    }
    this.checkClaims(this.changes());
  }

  /** How many transfers there have to be. */
  get transfers(): number {
    const done = this.movements.filter(({ id }) => id !== undefined);
    return done.length + this.holds.filter(({ ending }) => ending).length;
  }

  private async credit(random: Random): Promise<void> {
    const kind = oneOf(random, ['PURCHASE', 'REWARD', 'REFUND']);
    // Enough to be spent, and not enough for all.
    const amount = (this.owes ? 3 : 1) * amountBy(random);
    const movement = { userId: this.userId, amount, kind, reference: newId() };
    const call = async () => (await this.coins.credit(movement)).transferId;
    await this.ask(this.begin({ call, posted: amount, held: 0 }));
  }

  private async claw(random: Random): Promise<void> {
    const amount = 2 * amountBy(random);
    const movement = { userId: this.userId, amount, reference: newId() };
    const call = async () => (await this.coins.clawBack(movement)).transferId;
    await this.ask(this.begin({ call, posted: -amount, held: 0 }));
  }

  private async spend(random: Random): Promise<void> {
    const movement = this.generation(random);
    const { amount: need } = movement;
    const call = async () => (await this.coins.spend(movement)).transferId;
    await this.ask(this.begin({ call, posted: -need, held: 0, need }));
  }

  private async hold(random: Random): Promise<void> {
    const movement = this.generation(random);
    const { amount } = movement;
    const call = async () => (await this.coins.hold(movement)).holdId;
    await this.ask(this.begin({ call, posted: 0, held: amount, need: amount }));
  }

  /** All or a part. Often one that others end at the same time. */
  private async post(random: Random): Promise<void> {
    const hold = this.someHold(random);
    if (!hold) return;
    const charged = random(2) === 0 ? hold.amount : 1 + random(hold.amount);
    await this.finish(hold, charged, () => this.coins.post(hold.id, charged));
  }

  private async end(random: Random): Promise<void> {
    const hold = this.someHold(random);
    if (!hold) return;
    const phase = oneOf(random, ['VOID', 'EXPIRE']);
    await this.finish(hold, 0, () => this.coins.void(hold.id, phase));
  }

  /** Asks for something again, which may not be answered yet. */
  private async again(random: Random): Promise<void> {
    const latest = this.movements.slice(-20);
    const movement = latest[random(latest.length)];
    if (movement) await this.ask(movement);
  }

  private async look(): Promise<void> {
    const from = this.tick();
    const { posted, held, available } = await this.coins.balance(this.userId);
    expect(held).toBeGreaterThanOrEqual(0);
    expect(available).toBe(posted - held);
    if (!this.owes) expect(available).toBeGreaterThanOrEqual(0);
    if (available < 0) this.count('in debt');
    this.claims.push({ from, to: this.tick(), least: available, most: available });
  }

  private begin(given: Omit<Movement, keyof Span | 'id'>): Movement {
    const movement = { ...given, from: this.tick(), to: Infinity };
    this.movements.push(movement);
    return movement;
  }

  /** What is done stays done, and has one answer. */
  private async ask(movement: Movement): Promise<void> {
    const from = this.tick();
    const wasDone = movement.id !== undefined;
    try {
      const id = await movement.call();
      if (movement.id === undefined) this.note(movement, id);
      expect(id).toBe(movement.id);
    } catch (error) {
      if (!(error instanceof InsufficientCoins) || wasDone) throw error;
      const { need, have } = error;
      expect(need).toBe(movement.need);
      expect(have).toBeLessThan(need);
      this.claims.push({ from, to: this.tick(), least: have, most: have });
      this.count('refused');
    }
  }

  private note(movement: Movement, id: string): void {
    movement.id = id;
    movement.to = this.tick();
    const { from, to, held, need } = movement;
    if (held > 0) this.holds.push({ id, amount: held, refusedAt: [] });
    if (need !== undefined) this.claims.push({ from, to, least: need, most: Infinity });
  }

  private async finish(hold: Hold, charged: number, end: () => Promise<boolean>): Promise<void> {
    const from = this.tick();
    if (await end()) {
      expect(hold.ending).toBeUndefined();
      hold.ending = { from, to: this.tick(), charged };
      this.count('ended');
    } else {
      hold.refusedAt.push(this.tick());
      this.count('ended before');
    }
  }

  private changes(): Change[] {
    const moved = this.movements.map(({ from, to, posted, held }) => ({
      ...{ from, to, available: posted - held },
    }));
    const freed = this.holds.flatMap(({ amount, ending }) =>
      ending ? [{ from: ending.from, to: ending.to, available: amount - ending.charged }] : [],
    );
    return [...moved.filter(({ to }) => to < Infinity), ...freed];
  }

  /** What was over before is sure; of what was under way then, any part may have taken place. */
  private checkClaims(changes: readonly Change[]): void {
    for (const { from, to, least, most } of this.claims) {
      const sure = sum(changes.filter((each) => each.to < from).map(({ available }) => available));
      const perhaps = changes
        .filter((each) => each.to >= from && each.from <= to)
        .map(({ available }) => available);
      const highest = sure + sum(perhaps.filter((each) => each > 0));
      const lowest = sure + sum(perhaps.filter((each) => each < 0));
      expect(highest).toBeGreaterThanOrEqual(least);
      expect(lowest).toBeLessThanOrEqual(most);
    }
    this.claims.length = 0;
  }

  /** One of the latest, over or not. */
  private someHold(random: Random): Hold | undefined {
    const latest = this.holds.slice(-8);
    return latest[random(latest.length)];
  }

  private generation(random: Random) {
    const [amount, reference] = [amountBy(random), newId()];
    return { userId: this.userId, amount, kind: 'GENERATION', reference } as const;
  }

  private count(what: string): void {
    this.tally[what] = (this.tally[what] ?? 0) + 1;
  }

  private tick(): number {
    this.now += 1;
    return this.now;
  }
}

function amountBy(random: Random): number {
  return 1 + random(100);
}

function sum(amounts: readonly number[]): number {
  return amounts.reduce((total, amount) => total + amount, 0);
}
