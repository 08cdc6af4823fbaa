import { type Colour, lighter, mix, turned } from '../colour.js';
import { type Point, polar, wavering } from '../outlines.js';
import { stars } from './heavens.js';
import type { Scene, Studio } from './scene.js';

/** Where it is always night, whatever the time of the prompt. */
export const SPACE: readonly [Colour, Colour, Colour] = [
  { l: 0.13, c: 0.04, h: 285 },
  { l: 0.2, c: 0.08, h: 295 },
  { l: 0.3, c: 0.11, h: 320 },
];

/** A large planet with a ring, its moons, and a nebula behind them. */
export const planets: Scene = (studio) => {
  const { canvas, palette, dice } = studio;
  const { width, height, unit } = canvas;
  canvas.sky();
  for (let cloud = 0; cloud < 9; cloud += 1) {
    const at: Point = [width * dice.next(), height * (0.5 + 0.55 * dice.around())];
    const colour = turned(
      mix(palette.accents[cloud % 3] ?? palette.light, palette.sky[1], 0.45),
      dice.around() * 30,
    );
    canvas.glow(at, Math.max(width, height) * dice.between(0.16, 0.38), colour, 0.34);
  }
  stars(studio, 1, 260);
  const centre: Point = [width * dice.between(0.36, 0.64), height * dice.between(0.42, 0.56)];
  const radius = Math.min(width, height) * dice.between(0.22, 0.28);
  const tilt = dice.between(-0.5, -0.2);
  ring(studio, centre, radius, tilt, 'behind');
  planet(studio, centre, radius, tilt);
  ring(studio, centre, radius, tilt, 'before');
  for (let moon = 0; moon < 3; moon += 1) {
    const at = polar(centre, dice.between(0, Math.PI * 2), radius * dice.between(1.7, 2.5));
    const size = unit * dice.between(10, 38);
    canvas.glow(at, size * 2.4, palette.light, 0.25);
    canvas.disc(at, size, {
      colour: palette.light,
      foot: mix(palette.accents[2], palette.sky[0], 0.6),
    });
  }
};

/** Bands that bend with its surface, and a shadow on the side that is turned away. */
function planet(studio: Studio, centre: Point, radius: number, tilt: number): void {
  const { canvas, palette, dice } = studio;
  const [first, second] = palette.accents;
  canvas.glow(centre, radius * 1.75, first, 0.45);
  canvas.disc(centre, radius, { colour: lighter(first, 0.1), foot: lighter(first, -0.2) });
  for (let band = 0; band < 7; band += 1) {
    const at = -0.82 + (1.64 * (band + 0.5 * dice.next())) / 7;
    const half = Math.sqrt(1 - at ** 2) * radius * 0.985;
    const wave = wavering(dice.for(`band ${band}`), 1.2);
    const thick = radius * dice.between(0.035, 0.085);
    const edge = (side: -1 | 1) =>
      Array.from({ length: 15 }, (_, step): Point => {
        const part = step / 14;
        const bow = Math.sin(part * Math.PI) * radius * 0.09;
        const taper = Math.sin(part * Math.PI) ** 0.4;
        const y = at * radius + bow + side * thick * taper + wave(part) * radius * 0.012;
        return polar(centre, tilt, (part * 2 - 1) * half, y);
      });
    const colour = band % 2 === 0 ? second : lighter(first, -0.12);
    canvas.shape([...edge(-1), ...edge(1).reverse()], { colour, opacity: 0.5, isDetail: true });
  }
  for (const part of [0.7, 0.5, 0.28]) shadow(studio, centre, radius, part);
}

/** The side that is turned away from its sun, up to a line that is so far from the middle. */
function shadow({ canvas, palette }: Studio, centre: Point, radius: number, part: number): void {
  const arc = (across: number, from: number, to: number) =>
    Array.from({ length: 22 }, (_, step): Point => {
      const angle = from + ((to - from) * step) / 21;
      return polar(centre, 0.5, Math.cos(angle) * radius * across, Math.sin(angle) * radius);
    });
  const outer = arc(1, -Math.PI / 2, Math.PI / 2);
  const inner = arc(part, Math.PI / 2, -Math.PI / 2);
  canvas.shape([...outer, ...inner], { colour: palette.sky[0], opacity: 0.3, isDetail: true });
}

/** Half of it is hidden by the planet. */
function ring(
  { canvas, palette }: Studio,
  centre: Point,
  radius: number,
  tilt: number,
  half: 'behind' | 'before',
): void {
  const from = half === 'behind' ? Math.PI : 0;
  for (const [reach, opacity] of [
    [1.92, 0.85],
    [1.76, 0.6],
    [1.6, 0.95],
    [1.46, 0.5],
  ] as const) {
    const arc = Array.from({ length: 30 }, (_, step): Point => {
      const angle = from + (step / 29) * Math.PI;
      return polar(
        centre,
        tilt,
        Math.cos(angle) * radius * reach,
        Math.sin(angle) * radius * reach * 0.24,
      );
    });
    canvas.stroke(arc, {
      colour: mix(palette.accents[1], palette.light, 0.45),
      width: radius * 0.055,
      opacity,
    });
  }
}
