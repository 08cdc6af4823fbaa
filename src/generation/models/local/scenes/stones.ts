import { type Colour, lighter, mix } from '../colour.js';
import { ellipse, type Point, polar } from '../outlines.js';
import { stars } from './heavens.js';
import { sprig } from './plants.js';
import type { Scene, Studio } from './scene.js';

/** Stones on each other in still water, before a large pale disc. */
export const stones: Scene = (studio) => {
  const { canvas, palette, dice } = studio;
  const { width, height, unit } = canvas;
  const surface = height * dice.between(0.7, 0.76);
  const middle = width * dice.between(0.4, 0.6);
  canvas.sky();
  if (palette.isDark) stars(studio, 0.6);
  const disc: Point = [
    middle + dice.around() * width * 0.12,
    surface - Math.min(width, height) * 0.36,
  ];
  canvas.glow(disc, Math.min(width, height) * 0.62, palette.light, 0.55);
  canvas.disc(disc, Math.min(width, height) * 0.29, {
    colour: mix(palette.accents[0], palette.light, 0.45),
    foot: mix(palette.accents[0], palette.sky[2], 0.75),
  });
  const outline: Point[] = [
    [-20, surface],
    [width + 20, surface],
    [width + 20, height * 1.05],
    [-20, height * 1.05],
  ];
  canvas.shape(outline, { colour: palette.water[0], foot: palette.water[1], isAngular: true });
  const pile = pileOf(studio, middle, surface);
  for (const stone of pile) mirrored(studio, stone, surface);
  ripples(studio, [middle, surface + 8 * unit], pile[0]?.rx ?? 100);
  for (const stone of pile) lying(studio, stone);
  const side = middle < width / 2 ? 1 : -1;
  const green = mix(palette.land[1], { l: 0.48, c: 0.08, h: 150 }, 0.55);
  for (let branch = 0; branch < 3; branch += 1) {
    const from: Point = [width * (0.5 + side * 0.54), height * (0.02 + 0.13 * branch)];
    sprig(studio, from, {
      angle: side > 0 ? Math.PI * (0.94 - 0.06 * branch) : Math.PI * (0.06 + 0.06 * branch),
      length: Math.min(width * 0.42, height * 0.5) * dice.between(0.75, 1),
      colour: lighter(green, dice.around() * 0.06),
      leaves: 11,
      breadth: 0.22,
    });
  }
};

interface Stone {
  at: Point;
  rx: number;
  ry: number;
  turn: number;
  colour: Colour;
}

/** From the lowest to the highest, each narrower than the one it lies on. */
function pileOf({ canvas, palette, dice }: Studio, x: number, surface: number): Stone[] {
  const { width, height } = canvas;
  const count = dice.whole(4, 5);
  const grey: Colour = { l: 0.5, c: 0.015, h: 240 };
  const pile: Stone[] = [];
  let foot = surface + height * 0.012;
  let rx = Math.min(width * 0.24, height * 0.22) * dice.between(0.85, 1);
  for (let stone = 0; stone < count; stone += 1) {
    const ry = rx * dice.between(0.32, 0.44);
    const base =
      stone % 2 === 0
        ? mix(grey, palette.land[1], 0.4)
        : mix(grey, palette.accents[stone % 3] ?? grey, 0.3);
    const colour = { ...base, l: (palette.isDark ? 0.36 : 0.5) + dice.around() * 0.12 };
    pile.push({
      at: [x + dice.around() * rx * 0.12, foot - ry * 0.94],
      rx,
      ry,
      turn: dice.around() * 0.06,
      colour,
    });
    foot -= ry * 1.86;
    rx *= dice.between(0.68, 0.82);
  }
  return pile;
}

function lying({ canvas }: Studio, { at, rx, ry, turn, colour }: Stone): void {
  canvas.shape(ellipse(at, rx, ry, turn).map(squarer(at, rx, ry)), {
    colour: lighter(colour, 0.16),
    foot: lighter(colour, -0.2),
  });
  canvas.shape(ellipse([at[0] - rx * 0.2, at[1] - ry * 0.5], rx * 0.5, ry * 0.22, turn - 0.04), {
    colour: lighter(colour, 0.34),
    opacity: 0.4,
    isDetail: true,
  });
}

/** Fainter and flatter, and moved by the water. */
function mirrored(
  { canvas, palette, dice }: Studio,
  { at, rx, ry, colour }: Stone,
  surface: number,
): void {
  const depth = (surface - at[1]) * 0.82;
  const outline = ellipse([at[0], surface + depth], rx, ry * 0.8).map(([x, y]): Point => [
    x + dice.around() * 7 * canvas.unit,
    y,
  ]);
  canvas.shape(outline, { colour: mix(colour, palette.water[1], 0.55), opacity: 0.5 });
}

/** Stones of a river are rounder than boxes and less round than eggs. */
function squarer([x, y]: Point, rx: number, ry: number): (point: Point) => Point {
  return (point) => {
    const angle = Math.atan2((point[1] - y) / ry, (point[0] - x) / rx);
    const swell = 1 + 0.07 * Math.sin(2 * angle) ** 2;
    return polar([x, y], 0, (point[0] - x) * swell, (point[1] - y) * swell);
  };
}

/** Rings that widen on water. */
function ripples({ canvas, palette, dice }: Studio, [x, y]: Point, wide: number): void {
  for (let ring = 1; ring <= 4; ring += 1) {
    const rx = wide * (0.5 + ring * 0.32 + dice.around() * 0.04);
    canvas.stroke(ellipse([x, y], rx, rx * 0.16), {
      colour: palette.light,
      width: canvas.unit * 1.5,
      opacity: 0.5 / ring,
    });
  }
}
