/** A variable that does not fit the others. */
export interface Misfit {
  readonly name: string;
  readonly message: string;
}

/** What must not be the case, and which variable to name when it is. */
export type Rule = readonly [isWrong: boolean, name: string, message: string];

/** What is wrong by these rules. */
export function misfitsBy(rules: readonly Rule[]): Misfit[] {
  return rules.flatMap(([isWrong, name, message]) => (isWrong ? [{ name, message }] : []));
}
