import { type Colour, lighter, mix } from '../colour.js';
import { crag, type Outline, type Point, wavering } from '../outlines.js';
import { birds, clouds, stars, sunOrMoon } from './heavens.js';
import { broadleaf, conifer } from './plants.js';
import type { Scene, Studio } from './scene.js';

const STEPS = 44;

/** Rolling hills behind each other, with trees on the near ones. */
export const hills: Scene = (studio) => {
  const { canvas, palette, dice } = studio;
  const { width, height } = canvas;
  const horizon = dice.between(0.46, 0.56);
  heavens(studio, horizon, [
    width * dice.between(0.18, 0.82),
    height * horizon * dice.between(0.42, 0.85),
  ]);
  const layers = 5;
  for (let layer = 0; layer < layers; layer += 1) {
    const near = layer / (layers - 1);
    const base = height * (horizon + (1.02 - horizon) * near ** 1.25 * 0.78);
    const swing = height * (0.05 + 0.035 * near);
    const wave = wavering(dice.for(`hill ${layer}`), 0.9 + 0.5 * (1 - near));
    const ridge = ridgeOf(width, (part) => base - swing * wave(part));
    const colour = nearer(palette.land, near);
    hill(studio, ridge, colour, mix(colour, palette.sky[2], 0.28 * (1 - near) + 0.1));
    if (layer > 0) trees(studio, ridge, near, lighter(colour, -0.05 - 0.03 * near));
    if (near < 0.9) {
      canvas.haze(base - swing, base + height * 0.14, palette.sky[2], 0.34 * (1 - near));
    }
  }
  if (!palette.isDark) birds(studio, [width * dice.between(0.25, 0.75), height * horizon * 0.55]);
  meadow(studio);
};

/** Ranges of mountains with snow on them, and a wood before a lake. */
export const mountains: Scene = (studio) => {
  const { canvas, palette, dice } = studio;
  const { width, height } = canvas;
  const horizon = dice.between(0.56, 0.64);
  heavens(studio, horizon, [width * dice.between(0.2, 0.8), height * dice.between(0.14, 0.26)]);
  for (let range = 0; range < 3; range += 1) {
    const near = range / 2.6;
    const foot = height * (horizon + 0.05 * range);
    const tall = height * (0.36 - 0.09 * range) * dice.between(0.9, 1.1);
    const ridge = peaks(studio, foot, tall, dice.whole(2, 3) + range);
    const colour = nearer(palette.land, near * 0.85);
    hill(studio, ridge, colour, mix(colour, palette.sky[2], 0.45), true);
    if (range < 2) snow(studio, ridge, foot - tall * (0.52 + 0.12 * range), colour);
    canvas.haze(foot - tall * 0.55, foot + height * 0.05, palette.sky[2], 0.5 - 0.15 * range);
  }
  lake(studio, height * (horizon + 0.1));
  const shore = height * 0.93;
  const wave = wavering(dice.for('shore'), 0.8);
  const ridge = ridgeOf(width, (part) => shore - height * 0.035 * wave(part));
  const colour = nearer(palette.land, 1);
  for (const [x, y] of stands(studio, ridge, 26)) {
    conifer(
      studio,
      [x, y + height * 0.01],
      height * dice.between(0.09, 0.2),
      lighter(colour, dice.around() * 0.03),
    );
  }
  hill(studio, ridge, colour, lighter(colour, -0.05));
};

/** Dunes, each with a side in the sun and one in the shade. */
export const dunes: Scene = (studio) => {
  const { canvas, palette, dice } = studio;
  const { width, height } = canvas;
  const sand = palette.isDark ? palette.land : warmed(palette.land, palette.sky[2]);
  const horizon = dice.between(0.48, 0.56);
  heavens(studio, horizon, [width * dice.between(0.2, 0.8), height * dice.between(0.2, 0.34)]);
  const count = 5;
  for (let dune = 0; dune < count; dune += 1) {
    const near = dune / (count - 1);
    const base = height * (horizon + near * 0.36);
    const tall = height * (0.07 + 0.1 * near);
    const top = width * dice.between(0.15, 0.85);
    const reach = width * dice.between(0.5, 0.75);
    const rise = (x: number) => Math.exp(-(((x - top) / reach) ** 2) * (x < top ? 3.2 : 4.2));
    const ripple = wavering(dice.for(`dune ${dune}`), 1.4);
    const ridge = ridgeOf(
      width,
      (part) => base - tall * rise(part * width) - height * 0.012 * ripple(part),
    );
    const colour = nearer(sand, near * 0.8);
    hill(studio, ridge, lighter(colour, 0.05), lighter(colour, -0.02));
    const crest: Point = [top, base - tall - height * 0.012 * ripple(top / width)];
    shade(
      studio,
      crest,
      ridge.filter(([x]) => x > top),
      lighter(colour, -0.11),
    );
    canvas.haze(base, base + height * 0.1, palette.sky[2], 0.25 * (1 - near));
  }
};

/** The sky of a landscape with all that is in it. */
function heavens(studio: Studio, horizon: number, light: Point): void {
  const { canvas, palette, dice } = studio;
  canvas.sky(horizon);
  if (palette.isDark) stars(studio, horizon);
  sunOrMoon(studio, light);
  clouds(studio, 0.08, horizon * 0.75, dice.whole(2, 4));
}

/** From beyond the left side to beyond the right one. */
function ridgeOf(width: number, heightAt: (part: number) => number): Point[] {
  return Array.from({ length: STEPS + 1 }, (_, step): Point => {
    const part = -0.04 + (1.08 * step) / STEPS;
    return [part * width, heightAt(part)];
  });
}

function hill(
  { canvas }: Studio,
  ridge: Outline,
  colour: Colour,
  foot: Colour,
  isAngular = false,
): void {
  const { width, height } = canvas;
  const below: Point[] = [
    [width * 1.06, height * 1.08],
    [-width * 0.06, height * 1.08],
  ];
  canvas.shape([...ridge, ...below], { colour, foot, isAngular });
}

function nearer(pair: readonly [Colour, Colour], near: number): Colour {
  return mix(pair[0], pair[1], near);
}

function warmed([far, near]: readonly [Colour, Colour], light: Colour): readonly [Colour, Colour] {
  const sand: Colour = { l: 0.8, c: 0.085, h: 68 };
  return [
    mix(mix(far, sand, 0.6), light, 0.3),
    mix(near, { ...sand, l: 0.55, c: 0.11, h: 50 }, 0.72),
  ];
}

/** Where something stands along a ridge, in groups and not in rows. */
function stands({ dice }: Studio, ridge: Outline, count: number): Point[] {
  const places = Array.from({ length: count }, () => {
    const at = Math.floor(dice.next() * (ridge.length - 1));
    const [from, to] = [ridge[at] ?? [0, 0], ridge[at + 1] ?? [0, 0]];
    const part = dice.next();
    return [from[0] + (to[0] - from[0]) * part, from[1] + (to[1] - from[1]) * part] as const;
  });
  return places.sort((a, b) => a[1] - b[1]);
}

function trees(studio: Studio, ridge: Outline, near: number, colour: Colour): void {
  const { canvas, dice } = studio;
  const tall = canvas.unit * (14 + 62 * near ** 1.6);
  const grow = dice.happens(0.5) ? conifer : broadleaf;
  for (const [x, y] of stands(studio, ridge, dice.whole(4, 11))) {
    grow(
      studio,
      [x, y + tall * 0.06],
      tall * dice.between(0.7, 1.25),
      lighter(colour, dice.around() * 0.03),
    );
  }
}

/** Flowers, far too many to draw. */
function meadow({ canvas, palette, dice }: Studio): void {
  const { width, height, unit } = canvas;
  for (let flower = 0; flower < 90; flower += 1) {
    const down = dice.next() ** 0.7;
    const at: Point = [dice.between(0, width), height * (0.9 + 0.12 * down)];
    const colour = dice.pick(palette.accents);
    canvas.disc(at, unit * (1.2 + 3 * down), {
      colour: palette.isDark ? lighter(colour, -0.3) : colour,
      opacity: 0.85,
      isDetail: true,
    });
  }
}

function peaks({ canvas, dice }: Studio, foot: number, tall: number, count: number): Point[] {
  const { width } = canvas;
  const span = (width * 1.16) / count;
  const corners = Array.from({ length: count * 2 + 1 }, (_, corner): Point => {
    const x = -0.08 * width + (corner * span) / 2 + dice.around() * span * 0.13;
    const rise = corner % 2 === 1 ? dice.between(0.7, 1.05) : dice.between(0.12, 0.42);
    return [x, foot - tall * rise];
  });
  return corners.flatMap((corner, at) => {
    const next = corners[at + 1];
    return next ? crag(dice, corner, next, 0.13, 5) : [corner];
  });
}

/** On every part of a ridge that is higher than its line, with a ragged hem. */
function snow({ canvas, palette, dice }: Studio, ridge: Outline, line: number, rock: Colour): void {
  const runs: Point[][] = [];
  for (const point of ridge) {
    const run = runs.at(-1);
    if (point[1] >= line) runs.push([]);
    else if (run) run.push(point);
    else runs.push([point]);
  }
  const colour = mix({ l: 0.97, c: 0.012, h: 240 }, rock, palette.isDark ? 0.5 : 0.12);
  for (const run of runs.filter(({ length }) => length > 3)) {
    const hem = run
      .filter((_, at) => at % 3 === 0)
      .reverse()
      .map(([x, y], at): Point => {
        const depth = at % 2 === 0 ? dice.between(0.5, 0.9) : dice.between(0.15, 0.4);
        return [x + dice.around() * 5 * canvas.unit, y + (line - y) * depth];
      });
    canvas.shape([...run, ...hem], { colour, isAngular: true, isDetail: true });
  }
}

function shade({ canvas }: Studio, crest: Point, ridge: Outline, colour: Colour): void {
  const { height } = canvas;
  const [far = crest] = ridge.slice(-1);
  const fall: Point[] = [
    [far[0], height * 1.05],
    [crest[0] - (far[0] - crest[0]) * 0.1, height * 1.05],
    [crest[0] + (far[0] - crest[0]) * 0.16, crest[1] + (height - crest[1]) * 0.55],
    [crest[0] - (far[0] - crest[0]) * 0.05, crest[1] + (height - crest[1]) * 0.25],
  ];
  canvas.shape([crest, ...ridge, ...fall], { colour, foot: lighter(colour, 0.05), opacity: 0.75 });
}

/** Still water with the light of the sky on it. */
function lake({ canvas, palette, dice }: Studio, top: number): void {
  const { width, height, unit } = canvas;
  const outline: Point[] = [
    [-20, top],
    [width + 20, top],
    [width + 20, height * 1.05],
    [-20, height * 1.05],
  ];
  canvas.shape(outline, { colour: palette.water[0], foot: palette.water[1], isAngular: true });
  for (let glint = 0; glint < 26; glint += 1) {
    const down = dice.next();
    const y = top + (height - top) * down * 0.8;
    const [x, long] = [dice.between(0, width), unit * dice.between(20, 90) * (0.5 + down)];
    canvas.stroke(
      [
        [x, y],
        [x + long, y],
      ],
      { colour: palette.light, width: unit * 1.4, opacity: 0.28 },
    );
  }
}
