import { lighter, mix } from '../colour.js';
import { type Point, wavering } from '../outlines.js';
import { birds, clouds, stars, sunOrMoon } from './heavens.js';
import type { Scene, Studio } from './scene.js';

/** The sea with a light above it, a headland, perhaps a sail, and a beach. */
export const sea: Scene = (studio) => {
  const { canvas, palette, dice } = studio;
  const { width, height, unit } = canvas;
  const horizon = height * dice.between(0.46, 0.58);
  const light: Point = [
    width * dice.between(0.25, 0.75),
    horizon - height * dice.between(0.06, 0.24),
  ];
  canvas.sky(horizon / height);
  if (palette.isDark) stars(studio, horizon / height);
  sunOrMoon(studio, light, 1.15);
  clouds(studio, 0.06, (horizon / height) * 0.8, dice.whole(2, 5));
  headland(studio, horizon);
  water(studio, horizon);
  path(studio, light[0], horizon);
  if (dice.happens(0.75)) sail(studio, horizon);
  beach(studio);
  if (!palette.isDark) birds(studio, [width * dice.between(0.2, 0.8), horizon * 0.45]);
  canvas.haze(horizon - 16 * unit, horizon, palette.sky[2], 0.25);
};

function headland({ canvas, palette, dice }: Studio, horizon: number): void {
  const { width, height } = canvas;
  const isLeft = dice.happens(0.5);
  for (const [layer, far] of [0.25, 0.5].entries()) {
    const reach = width * dice.between(0.24, 0.5) * (layer === 0 ? 1.25 : 0.8);
    const tall = height * dice.between(0.05, 0.1) * (layer === 0 ? 0.8 : 1.2);
    const wave = wavering(dice.for(`headland ${layer}`), 1.3);
    const ridge = Array.from({ length: 24 }, (_, at): Point => {
      const part = at / 23;
      const rise = (1 - part) ** 0.8 * (0.75 + 0.3 * wave(part));
      const x = isLeft ? part * reach : width - part * reach;
      return [x, horizon - Math.max(0, tall * rise)];
    });
    const edge = isLeft ? -20 : width + 20;
    const colour = mix(palette.land[0], palette.land[1], far);
    const outline: Point[] = [
      [edge, horizon + 4],
      [edge, ridge[0]?.[1] ?? horizon],
      ...ridge,
      [ridge.at(-1)?.[0] ?? 0, horizon + 4],
    ];
    canvas.shape(outline, { colour, foot: mix(colour, palette.sky[2], 0.25), isAngular: true });
  }
}

/** Waves that grow as they come nearer. */
function water({ canvas, palette, dice }: Studio, horizon: number): void {
  const { width, height, unit } = canvas;
  const bands = 8;
  for (let band = 0; band < bands; band += 1) {
    const near = band / (bands - 1);
    const top = horizon + (height - horizon) * near ** 1.7 * 0.9;
    const wave = wavering(dice.for(`wave ${band}`), 2 + 3 * (1 - near));
    const swing = unit * (0.6 + 15 * near ** 1.5);
    const crest = Array.from({ length: 36 }, (_, at): Point => {
      const part = -0.03 + (1.06 * at) / 35;
      return [part * width, top + (band === 0 ? 0 : swing * wave(part))];
    });
    const colour = mix(palette.water[0], palette.water[1], near * 0.85);
    canvas.shape([...crest, [width * 1.05, height * 1.05], [-width * 0.05, height * 1.05]], {
      colour,
      foot: lighter(colour, -0.04),
      isAngular: band === 0,
    });
    if (band > 1) {
      canvas.stroke(crest, {
        colour: palette.light,
        width: unit * (0.7 + 1.6 * near),
        opacity: 0.32,
      });
    }
  }
}

/** What the light leaves on the water. */
function path({ canvas, palette, dice }: Studio, x: number, horizon: number): void {
  const { height, unit } = canvas;
  for (let glint = 0; glint < 60; glint += 1) {
    const down = dice.next() ** 1.2;
    const y = horizon + 3 * unit + (height * 0.84 - horizon) * down;
    const reach = unit * (16 + 85 * down);
    const centre = x + dice.around() * reach;
    const long = unit * (4 + 30 * down) * dice.between(0.4, 1);
    canvas.stroke(
      [
        [centre - long, y],
        [centre + long, y],
      ],
      { colour: palette.light, width: unit * (1 + 2.6 * down), opacity: 0.7 - 0.4 * down },
    );
  }
}

function sail({ canvas, palette, dice }: Studio, horizon: number): void {
  const { width, height, unit } = canvas;
  const down = dice.between(0.05, 0.22);
  const tall = unit * (46 + 190 * down);
  const [x, y] = [width * dice.between(0.18, 0.82), horizon + (height - horizon) * down];
  const hull = lighter(palette.land[1], -0.02);
  const at = (dx: number, dy: number): Point => [x + dx * tall, y + dy * tall];
  const details = { isAngular: true, isDetail: true };
  canvas.shape([at(0.03, -1), at(0.03, -0.1), at(0.42, -0.1)], {
    colour: lighter(palette.paper, 0.01),
    ...details,
  });
  canvas.shape([at(-0.02, -0.92), at(-0.02, -0.1), at(-0.34, -0.1)], {
    colour: palette.accents[0],
    ...details,
  });
  canvas.shape([at(-0.42, -0.06), at(0.48, -0.06), at(0.34, 0.08), at(-0.3, 0.08)], {
    colour: hull,
    ...details,
  });
}

/** Sand, and the foam of the last wave on it. */
function beach({ canvas, palette, dice }: Studio): void {
  const { width, height, unit } = canvas;
  const sand = mix(
    mix(palette.land[0], { l: 0.85, c: 0.06, h: 75 }, palette.isDark ? 0.12 : 0.7),
    palette.land[1],
    palette.isDark ? 0.5 : 0.1,
  );
  const wave = wavering(dice, 0.7);
  const slope = dice.around() * 0.08;
  const edgeAt = (part: number, up: number): Point => [
    part * width,
    height * (0.9 + slope * (part - 0.5) + 0.018 * wave(part)) - up * unit,
  ];
  const edge = (up: number) =>
    Array.from({ length: 30 }, (_, at) => edgeAt(-0.03 + (1.06 * at) / 29, up));
  const below: Point[] = [
    [width * 1.05, height * 1.06],
    [-width * 0.05, height * 1.06],
  ];
  canvas.shape([...edge(20), ...below], { colour: lighter(palette.water[0], 0.07), opacity: 0.55 });
  canvas.shape([...edge(9), ...below], {
    colour: lighter(palette.paper, palette.isDark ? -0.4 : 0.02),
    opacity: 0.9,
  });
  canvas.shape([...edge(0), ...below], { colour: lighter(sand, -0.05), foot: lighter(sand, 0.04) });
}
