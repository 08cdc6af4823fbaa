import { Injectable } from '@nestjs/common';

/**
 * Tells what a request would cost, from its body as it came: nobody has checked it yet.
 *
 * @returns undefined when that cannot be told; whoever checks the body then refuses it
 */
export type PriceOf = (body: unknown) => number | undefined;

/** What things cost. The features that sell them stand above this one, and register their prices. */
@Injectable()
export class Prices {
  private readonly byThing = new Map<string, PriceOf>();

  /** @throws Error when the thing has a price already */
  register(thing: string, priceOf: PriceOf): void {
    if (this.byThing.has(thing)) throw new Error(`The price of ${thing} is registered twice`);
    this.byThing.set(thing, priceOf);
  }

  /** What a request for a thing would cost, if that can be told. @throws Error when nobody sells it */
  of(thing: string, body: unknown): number | undefined {
    const priceOf = this.byThing.get(thing);
    if (!priceOf) throw new Error(`Nobody has registered what ${thing} costs`);
    return priceOf(body);
  }
}
