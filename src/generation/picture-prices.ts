import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../core/env.js';
import type { PictureSize } from './models/picture-sizes.js';

/** What is asked for. */
interface Asked {
  model: string;
  size: PictureSize;
  count: number;
}

/** What pictures cost those who ask for them, by the operator's table `GENERATION_PRICES`. */
@Injectable()
export class PicturePrices {
  constructor(@Inject(ENV) private readonly env: Env) {}

  /** Coins for one picture: what the first row says that fits. */
  ofOne({ model, size, count }: Asked): number {
    const row = this.env.GENERATION_PRICES.find(
      (each) =>
        (each.model ?? model) === model &&
        (each.size ?? size) === size &&
        (each.count ?? count) === count,
    );
    return row?.coins ?? DEFAULT_PRICE;
  }
}

/** Coins for a picture of which the table says nothing. */
const DEFAULT_PRICE = 100;
