/** Some 8 MB of tokens and claims. */
const KEPT_TOKENS = 10_000;

/**
 * What verified tokens say, until they expire. Of more than {@link KEPT_TOKENS}, those that were used
 * last are kept.
 */
export class VerifiedTokens<Claims extends { exp: number }> {
  /** Oldest use first: a Map keeps the order of insertion. */
  private readonly claims = new Map<string, Claims>();

  /** @returns undefined for a token that is not known, or that has expired */
  find(token: string, nowMs = Date.now()): Claims | undefined {
    const found = this.claims.get(token);
    if (!found) return undefined;
    this.claims.delete(token);
    if (nowMs >= found.exp * 1_000) return undefined;
    this.claims.set(token, found);
    return found;
  }

  /** @param claims of a token whose signature was found to be right */
  remember(token: string, claims: Claims): void {
    this.claims.set(token, claims);
    if (this.claims.size <= KEPT_TOKENS) return;
    const [oldest] = this.claims.keys();
    if (oldest !== undefined) this.claims.delete(oldest);
  }

  /** A token that is right, and stands for nothing any more. */
  forget(token: string): void {
    this.claims.delete(token);
  }
}
