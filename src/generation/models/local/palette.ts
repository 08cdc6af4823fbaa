import { type Colour, mix, turned } from './colour.js';
import type { Dice } from './dice.js';

/** The colours of one picture. What is far comes first, then what is near. */
export interface Palette {
  /** From the top down to the horizon. */
  readonly sky: readonly [Colour, Colour, Colour];
  /** The sun, the moon, a lamp. */
  readonly light: Colour;
  readonly land: readonly [far: Colour, near: Colour];
  readonly water: readonly [far: Colour, near: Colour];
  /** What shall be seen first. */
  readonly accents: readonly [Colour, Colour, Colour];
  readonly paper: Colour;
  readonly ink: Colour;
  /** Whether it is night: there are stars, and lamps are lit. */
  readonly isDark: boolean;
}

/** The times and weathers that a prompt may name. */
export const MOODS = [
  'dawn',
  'day',
  'sunset',
  'dusk',
  'night',
  'mist',
  'autumn',
  'winter',
  'spring',
] as const;
export type Mood = (typeof MOODS)[number];

/** Lightness, chroma and hue. */
type Row = readonly [l: number, c: number, h: number];

interface MoodColours {
  readonly sky: readonly [Row, Row, Row];
  readonly light: Row;
  readonly land: readonly [Row, Row];
  readonly water: readonly [Row, Row];
}

const COLOURS: Readonly<Record<Mood, MoodColours>> = {
  dawn: {
    sky: [
      [0.7, 0.07, 265],
      [0.85, 0.065, 350],
      [0.94, 0.07, 70],
    ],
    light: [0.98, 0.05, 85],
    land: [
      [0.77, 0.06, 325],
      [0.34, 0.07, 285],
    ],
    water: [
      [0.88, 0.06, 50],
      [0.5, 0.08, 275],
    ],
  },
  day: {
    sky: [
      [0.66, 0.12, 248],
      [0.81, 0.08, 232],
      [0.95, 0.035, 205],
    ],
    light: [0.98, 0.06, 98],
    land: [
      [0.8, 0.06, 205],
      [0.42, 0.1, 150],
    ],
    water: [
      [0.83, 0.075, 205],
      [0.46, 0.105, 240],
    ],
  },
  sunset: {
    sky: [
      [0.45, 0.12, 295],
      [0.68, 0.16, 25],
      [0.88, 0.13, 75],
    ],
    light: [0.96, 0.1, 92],
    land: [
      [0.64, 0.13, 25],
      [0.23, 0.07, 310],
    ],
    water: [
      [0.76, 0.14, 30],
      [0.37, 0.11, 312],
    ],
  },
  dusk: {
    sky: [
      [0.33, 0.09, 275],
      [0.53, 0.12, 320],
      [0.79, 0.12, 45],
    ],
    light: [0.95, 0.06, 88],
    land: [
      [0.51, 0.1, 315],
      [0.18, 0.06, 285],
    ],
    water: [
      [0.68, 0.1, 20],
      [0.28, 0.08, 280],
    ],
  },
  night: {
    sky: [
      [0.21, 0.065, 275],
      [0.32, 0.095, 268],
      [0.54, 0.095, 245],
    ],
    light: [0.96, 0.035, 95],
    land: [
      [0.47, 0.075, 252],
      [0.19, 0.045, 268],
    ],
    water: [
      [0.5, 0.085, 243],
      [0.22, 0.065, 265],
    ],
  },
  mist: {
    sky: [
      [0.8, 0.02, 235],
      [0.87, 0.018, 210],
      [0.93, 0.016, 160],
    ],
    light: [0.98, 0.02, 100],
    land: [
      [0.82, 0.02, 200],
      [0.4, 0.035, 190],
    ],
    water: [
      [0.87, 0.018, 200],
      [0.6, 0.03, 215],
    ],
  },
  autumn: {
    sky: [
      [0.76, 0.055, 235],
      [0.88, 0.04, 95],
      [0.95, 0.06, 85],
    ],
    light: [0.98, 0.06, 90],
    land: [
      [0.78, 0.1, 65],
      [0.4, 0.12, 38],
    ],
    water: [
      [0.85, 0.05, 85],
      [0.46, 0.07, 240],
    ],
  },
  winter: {
    sky: [
      [0.7, 0.055, 250],
      [0.85, 0.035, 245],
      [0.95, 0.025, 30],
    ],
    light: [0.99, 0.02, 80],
    land: [
      [0.9, 0.02, 250],
      [0.46, 0.055, 250],
    ],
    water: [
      [0.88, 0.03, 235],
      [0.55, 0.06, 245],
    ],
  },
  spring: {
    sky: [
      [0.77, 0.08, 232],
      [0.89, 0.05, 205],
      [0.96, 0.04, 120],
    ],
    light: [0.99, 0.05, 100],
    land: [
      [0.86, 0.08, 145],
      [0.52, 0.13, 142],
    ],
    water: [
      [0.87, 0.06, 195],
      [0.54, 0.09, 225],
    ],
  },
};

const ACCENTS: readonly [Row, ...Row[]] = [
  [0.66, 0.18, 30],
  [0.82, 0.15, 82],
  [0.6, 0.11, 195],
  [0.68, 0.14, 355],
  [0.55, 0.14, 290],
  [0.72, 0.15, 55],
];

const PAPER: Colour = { l: 0.968, c: 0.014, h: 85 };
const INK: Colour = { l: 0.24, c: 0.03, h: 265 };
/** By how many degrees one picture's hues differ from another's of the same mood. */
const WANDER = 14;

/** From where on two hues are two, in degrees. */
const OTHER_HUE = 35;
/** Beyond it a whole sky is loud. */
const MOST_CHROMA = 0.13;

/** The palette of a mood. The colours that the prompt names take hold of it. */
export function paletteOf(mood: Mood, named: readonly Colour[], dice: Dice): Palette {
  const wander = dice.around() * WANDER;
  const { sky, light, land, water } = COLOURS[mood];
  const shade = (row: Row) => turned(colourOf(row), wander);
  const [main, other] = named;
  const tint = (colour: Colour, by: Colour | undefined, part: number) =>
    by ? towards(colour, by, part) : colour;
  const chosen = Array.from({ length: 3 }, () => colourOf(dice.pick(ACCENTS)));
  const [first, second, third] = [...named, ...chosen] as [Colour, Colour, Colour];
  return {
    sky: [
      tint(shade(sky[0]), other ?? main, other ? 0.85 : 0.3),
      tint(shade(sky[1]), other ?? main, other ? 0.75 : 0.4),
      tint(shade(sky[2]), other ?? main, 0.5),
    ],
    light: shade(light),
    land: [tint(shade(land[0]), main, 0.8), tint(shade(land[1]), main, 0.85)],
    water: [tint(shade(water[0]), main, 0.7), tint(shade(water[1]), main, 0.75)],
    accents: [first, second, third],
    paper: PAPER,
    ink: INK,
    isDark: mood === 'night',
  };
}

/**
 * A palette in the colours of pictures. What is light stays light: their two strongest hues go over
 * all of it, and the colours themselves are for what shall be seen first.
 *
 * @param colours the most frequent first; at least one
 */
export function paletteFrom(colours: readonly [Colour, ...Colour[]], base: Palette): Palette {
  const [first, ...others] = [...colours].sort((a, b) => b.c - a.c) as [Colour, ...Colour[]];
  const second = others.find(({ h }) => hueBetween(h, first.h) > OTHER_HUE) ?? others[0] ?? first;
  const third = others.find((colour) => colour !== second) ?? second;
  const over = (colour: Colour, { c, h }: Colour): Colour => ({
    l: colour.l,
    c: Math.min(MOST_CHROMA, Math.max(c, colour.c * 0.8)),
    h,
  });
  const { sky, land, water } = base;
  return {
    ...base,
    sky: [over(sky[0], first), over(sky[1], mix(first, second, 0.4)), over(sky[2], second)],
    land: [over(land[0], second), over(land[1], second)],
    water: [over(water[0], first), over(water[1], first)],
    accents: [first, second, third],
  };
}

/** In degrees. */
function hueBetween(one: number, other: number): number {
  const apart = Math.abs(one - other) % 360;
  return Math.min(apart, 360 - apart);
}

function colourOf([l, c, h]: Row): Colour {
  return { l, c, h };
}

/** Keeps what makes it near or far, its lightness, and takes on the hue. */
function towards(colour: Colour, { l, c, h }: Colour, part: number): Colour {
  const tinted = { l: colour.l + (l - colour.l) * 0.3, c: Math.max(c * 0.75, 0.002), h };
  return mix(colour, tinted, part);
}
