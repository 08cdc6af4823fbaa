import type { Style } from '../styles.js';
import { Dice } from './dice.js';

/** What a surface is like: how strong its texture is, and how coarse. */
interface Surface {
  /** Of 128, at one standard deviation or so. */
  readonly strength: number;
  /** The sizes of its grains in pixels at 1K; each is a divisor of the tile. */
  readonly grains: readonly number[];
}

const SURFACES: Readonly<Record<Style, Surface>> = {
  natural: { strength: 13, grains: [1, 2] },
  watercolour: { strength: 24, grains: [2, 4, 16] },
  poster: { strength: 12, grains: [1, 4] },
  line: { strength: 20, grains: [2, 4] },
  night: { strength: 15, grains: [1, 2] },
};

/** At 1K, in pixels. */
const TILE = 256;

export interface Tile {
  /** One byte for each pixel; 128 changes nothing. */
  readonly pixels: Buffer;
  readonly side: number;
}

/** Those that were made: one for each style and size, some 6 MB in all. */
const made = new Map<string, Tile>();

/**
 * A tile of paper or film that meets itself at every edge. It keeps a large, even sky from looking
 * printed in steps.
 *
 * @param scale how much larger than at 1K everything is
 */
export function grainOf(style: Style, scale: number): Tile {
  const name = `${style} ${scale}`;
  const tile = made.get(name) ?? makeGrain(style, scale);
  made.set(name, tile);
  return tile;
}

function makeGrain(style: Style, scale: number): Tile {
  const { strength, grains } = SURFACES[style];
  const side = TILE * scale;
  const layers = grains.map((grain) => latticeOf(grain, scale));
  const pixels = Buffer.alloc(side * side);
  for (let y = 0; y < side; y += 1) {
    for (let x = 0; x < side; x += 1) {
      let sum = 0;
      for (const layer of layers) sum += valueAt(layer, x, y);
      pixels[y * side + x] = Math.round(128 + (strength * sum) / Math.sqrt(layers.length));
    }
  }
  return { pixels, side };
}

interface Lattice {
  /** Between -1 and 1. */
  readonly values: Float32Array;
  /** Values along a side. */
  readonly side: number;
  /** Pixels between two of them. */
  readonly step: number;
}

function latticeOf(grain: number, scale: number): Lattice {
  const dice = new Dice(`grain ${grain}`);
  const side = TILE / grain;
  return {
    values: Float32Array.from({ length: side * side }, () => dice.around()),
    side,
    step: grain * scale,
  };
}

/** Between the four values around a pixel, in proportion to how near they are. */
function valueAt({ values, side, step }: Lattice, x: number, y: number): number {
  const [left, top] = [Math.floor(x / step), Math.floor(y / step)];
  const [across, down] = [x / step - left, y / step - top];
  const [right, bottom] = [(left + 1) % side, (top + 1) % side];
  const at = (column: number, row: number) => values[row * side + column] ?? 0;
  const upper = at(left, top) * (1 - across) + at(right, top) * across;
  const lower = at(left, bottom) * (1 - across) + at(right, bottom) * across;
  return upper * (1 - down) + lower * down;
}
