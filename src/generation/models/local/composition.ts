import type { PixelSize } from '../picture-sizes.js';
import type { Style } from '../styles.js';
import { Canvas } from './canvas.js';
import type { Colour } from './colour.js';
import { Dice } from './dice.js';
import { LineDrawing } from './line-drawing.js';
import { type Mood, type Palette, paletteFrom, paletteOf } from './palette.js';
import { Poster } from './poster.js';
import { type Motif, MOTIFS, readPrompt } from './prompt-words.js';
import { ribbons, shapes } from './scenes/abstracts.js';
import { city } from './scenes/city.js';
import { flowers } from './scenes/flowers.js';
import { forest } from './scenes/forest.js';
import { dunes, hills, mountains } from './scenes/land.js';
import { planets, SPACE } from './scenes/planets.js';
import type { Scene } from './scenes/scene.js';
import { sea } from './scenes/sea.js';
import { stones } from './scenes/stones.js';
import { Watercolour } from './watercolour.js';

const SCENES: Readonly<Record<Motif, Scene>> = {
  hills,
  mountains,
  sea,
  forest,
  dunes,
  city,
  flowers,
  stones,
  planets,
  ribbons,
  shapes,
};

/** What a prompt that names no time is given. Night is for who asks for it. */
const USUAL_MOODS: readonly [Mood, ...Mood[]] = [
  'dawn',
  'day',
  'sunset',
  'dusk',
  'autumn',
  'spring',
];

export interface Commission {
  readonly prompt: string;
  readonly seed: number;
  readonly style: Style;
  /** The picture at 1K. */
  readonly size: PixelSize;
  /** Of the source pictures; empty without any. */
  readonly colours: readonly Colour[];
}

/**
 * The scene that a prompt asks for, painted. What it is of and in which light are the prompt's alone;
 * the seed decides how everything stands, so that four of one prompt are four views of one thing.
 */
export function compose({ prompt, seed, style, size, colours }: Commission): Canvas {
  const hints = readPrompt(prompt);
  const ofPrompt = new Dice(prompt.normalize('NFC').trim());
  const ofSeed = ofPrompt.for(`seed ${seed}`);
  const motif = hints.motif ?? ofPrompt.for('motif').pick<Motif>(MOTIFS);
  const mood = hints.mood ?? ofPrompt.for('mood').pick(USUAL_MOODS);
  const base = paletteOf(style === 'night' ? 'night' : mood, hints.colours, ofSeed.for('palette'));
  const own = motif === 'planets' ? { ...base, sky: SPACE, isDark: true } : base;
  const [first, ...others] = colours;
  const palette = first ? paletteFrom([first, ...others], own) : own;
  const canvas = canvasOf(style, size, palette, ofSeed.for('hand'));
  SCENES[motif]({ canvas, palette, dice: ofSeed.for('scene') });
  return canvas;
}

function canvasOf(style: Style, size: PixelSize, palette: Palette, dice: Dice): Canvas {
  if (style === 'watercolour') return new Watercolour(size, palette, dice);
  if (style === 'poster') return new Poster(size, palette, dice);
  if (style === 'line') return new LineDrawing(size, palette, dice);
  return new Canvas(size, palette, dice);
}
