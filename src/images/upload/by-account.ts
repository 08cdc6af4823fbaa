/** Things of accounts, each account's and all of them in the order in which they came. */
export class ByAccount<T extends { userId: string }> implements Iterable<T> {
  private readonly all = new Set<T>();
  private readonly accounts = new Map<string, Set<T>>();

  get size(): number {
    return this.all.size;
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.all[Symbol.iterator]();
  }

  add(one: T): void {
    this.all.add(one);
    const ofAccount = this.accounts.get(one.userId) ?? new Set();
    this.accounts.set(one.userId, ofAccount.add(one));
  }

  /** @returns whether it was there */
  delete(one: T): boolean {
    const ofAccount = this.accounts.get(one.userId);
    ofAccount?.delete(one);
    if (ofAccount?.size === 0) this.accounts.delete(one.userId);
    return this.all.delete(one);
  }

  countOf(userId: string): number {
    return this.accounts.get(userId)?.size ?? 0;
  }

  /** Those of the account that has most, the oldest first. */
  ofLargest(): T[] {
    let largest = new Set<T>();
    for (const ofAccount of this.accounts.values()) {
      if (ofAccount.size > largest.size) largest = ofAccount;
    }
    return [...largest];
  }
}
