import { lighter, mix } from '../colour.js';
import { type Point, polar } from '../outlines.js';
import type { Studio } from './scene.js';

/** The sun, or the moon when it is dark; a light around it. */
export function sunOrMoon({ canvas, palette, dice }: Studio, centre: Point, size = 1): void {
  const { unit } = canvas;
  const radius = unit * dice.between(46, 68) * size * (palette.isDark ? 0.8 : 1);
  canvas.glow(
    centre,
    radius * (palette.isDark ? 5.5 : 6.5),
    palette.light,
    palette.isDark ? 0.5 : 0.8,
  );
  canvas.disc(centre, radius, { colour: palette.light });
  if (palette.isDark) {
    for (const [dx, dy, part] of [
      [-0.3, -0.2, 0.2],
      [0.25, 0.15, 0.26],
      [-0.1, 0.45, 0.14],
    ] as const) {
      const at: Point = [centre[0] + dx * radius, centre[1] + dy * radius];
      const colour = lighter(palette.light, -0.07);
      canvas.disc(at, radius * part, { colour, opacity: 0.6, isDetail: true });
    }
  }
}

export function stars({ canvas, palette, dice }: Studio, down: number, count = 130): void {
  const { width, height, unit } = canvas;
  for (let star = 0; star < count; star += 1) {
    const at: Point = [dice.between(0, width), dice.next() ** 1.3 * height * down];
    const radius = unit * (0.7 + 1.7 * dice.next() ** 5);
    const colour = mix(palette.light, palette.sky[2], dice.next() * 0.5);
    canvas.disc(at, radius, { colour, opacity: dice.between(0.45, 1), isDetail: true });
  }
}

/** Flat beneath and round above, the nearer to the horizon the flatter. */
export function clouds(studio: Studio, from: number, to: number, count: number): void {
  const { canvas, palette, dice } = studio;
  const { width, height, unit } = canvas;
  for (let cloud = 0; cloud < count; cloud += 1) {
    const y = height * dice.between(from, to);
    const x = width * dice.between(-0.05, 1.05);
    const long = unit * dice.between(110, 250);
    const colour = palette.isDark
      ? lighter(palette.sky[1], 0.05)
      : mix(lighter(palette.sky[2], 0.03), palette.light, 0.45);
    const foot = palette.isDark ? palette.sky[1] : mix(palette.sky[1], colour, 0.45);
    const opacity = palette.isDark ? 0.35 : 0.72;
    canvas.shape(cloudOutline(studio, [x, y], long), { colour, foot, opacity });
  }
}

function cloudOutline({ dice }: Studio, [x, y]: Point, long: number): Point[] {
  const bumps = 9;
  const tall = long * dice.between(0.16, 0.26);
  const top = Array.from({ length: bumps }, (_, at): Point => {
    const part = at / (bumps - 1);
    const arch = Math.sin(part * Math.PI) ** 0.7;
    return [x + (part - 0.5) * long * 2, y - arch * tall * dice.between(0.55, 1.25)];
  });
  return [...top, [x + long * 0.6, y + tall * 0.22], [x - long * 0.6, y + tall * 0.2]];
}

export function birds({ canvas, palette, dice }: Studio, [x, y]: Point): void {
  const { unit } = canvas;
  const count = dice.whole(3, 6);
  for (let bird = 0; bird < count; bird += 1) {
    const at: Point = [x + dice.around() * 120 * unit, y + dice.around() * 45 * unit];
    const span = unit * dice.between(8, 15);
    const tilt = dice.around() * 0.35;
    const wing = (side: -1 | 1, along: number, up: number): Point =>
      polar(at, tilt, side * along * span, -up * span);
    const outline = [
      wing(-1, 1, 0.35),
      wing(-1, 0.5, 0.55),
      at,
      wing(1, 0.5, 0.55),
      wing(1, 1, 0.35),
    ];
    canvas.stroke(outline, { colour: palette.land[1], width: unit * 1.9, opacity: 0.8 });
  }
}
