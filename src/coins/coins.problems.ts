import { defineProblem, Problem } from '../core/problems/problem.js';

export const insufficientCoins = defineProblem({
  code: 'insufficient-coins',
  status: 402,
  title: 'There are not enough coins',
  help: 'This takes `need` coins, and the account has `have` that it can spend: what is on hold is not among them, and a debt is below 0. `GET /api/v1/coins` tells all of it. Get more coins, then send the request again.',
});

export const tooManyCoins = defineProblem({
  code: 'too-many-coins',
  status: 409,
  title: 'An account cannot have so many coins',
  help: 'An account has at most 9,007,199,254,740,991 coins, and at most as many less than none. Move fewer.',
});

/** A spend beyond what is available. Nothing was written. */
export class InsufficientCoins extends Problem {
  readonly need: number;
  /** Below 0 of an account in debt. */
  readonly have: number;

  constructor({ need, have }: { need: number; have: number }) {
    super(insufficientCoins, `This takes ${need} coins, and ${have} can be spent.`, {
      extensions: { need, have },
    });
    this.need = need;
    this.have = have;
  }
}

/** A reference that stands for another transfer already: a fault of whoever chose it. */
export class ReferenceTaken extends Error {
  constructor(kind: string, reference: string) {
    super(`The reference ${reference} belongs to another ${kind}`);
    this.name = 'ReferenceTaken';
  }
}
