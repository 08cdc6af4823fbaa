import type { Canvas } from '../canvas.js';
import type { Dice } from '../dice.js';
import type { Palette } from '../palette.js';

/** What a scene is made with. */
export interface Studio {
  readonly canvas: Canvas;
  readonly palette: Palette;
  readonly dice: Dice;
}

/** Paints a picture of something, from back to front. */
export type Scene = (studio: Studio) => void;
