import { type Colour, lighter } from '../colour.js';
import { blob, leaf, type Point, polar } from '../outlines.js';
import type { Studio } from './scene.js';

/** A conifer of a few tiers. @param foot where it stands */
export function conifer(
  { canvas, dice }: Studio,
  [x, y]: Point,
  tall: number,
  colour: Colour,
): void {
  const tiers = 5;
  const half = tall * dice.between(0.19, 0.27);
  const side = (direction: -1 | 1) =>
    Array.from({ length: tiers }, (_, tier): Point[] => {
      const down = (tier + 1) / tiers;
      const reach = half * down ** 0.85 * dice.between(0.85, 1.12);
      const heightAt = y - tall + tall * 0.93 * down;
      return [
        [x + direction * reach, heightAt],
        [x + direction * reach * 0.5, heightAt - tall * 0.025],
      ];
    }).flat();
  const outline: Point[] = [[x, y - tall], ...side(1), ...side(-1).reverse()];
  canvas.shape(
    [
      [x - tall * 0.018, y - tall * 0.09],
      [x + tall * 0.018, y - tall * 0.09],
      [x + tall * 0.022, y + 2],
      [x - tall * 0.022, y + 2],
    ],
    { colour: lighter(colour, -0.06), isAngular: true, isDetail: true },
  );
  canvas.shape(outline, {
    colour: lighter(colour, 0.03),
    foot: lighter(colour, -0.05),
    isAngular: true,
    isDetail: true,
  });
}

/** A tree with a round crown. */
export function broadleaf(
  { canvas, dice }: Studio,
  [x, y]: Point,
  tall: number,
  colour: Colour,
): void {
  const lean = dice.around() * 0.06 * tall;
  canvas.stroke(
    [
      [x, y + 1],
      [x + lean * 0.4, y - tall * 0.3],
      [x + lean, y - tall * 0.62],
    ],
    { colour: lighter(colour, -0.12), width: Math.max(1.2, tall * 0.055) },
  );
  for (const [dx, dy, part] of [
    [-0.16, -0.55, 0.22],
    [0.17, -0.58, 0.21],
    [0, -0.76, 0.26],
  ] as const) {
    const at: Point = [x + lean + dx * tall, y + dy * tall];
    const fill = { colour: lighter(colour, 0.06), foot: lighter(colour, -0.05), isDetail: true };
    canvas.shape(blob(at, tall * part, tall * part * 0.9, 0.16, dice), fill);
  }
}

interface SprigLook {
  readonly angle: number;
  readonly length: number;
  readonly colour: Colour;
  readonly leaves?: number;
  /** Of a leaf, as part of its length. */
  readonly breadth?: number;
}

/** A stalk that bends, with leaves on both sides. @returns where it ends, and in which direction */
export function sprig(
  { canvas, dice }: Studio,
  from: Point,
  { angle, length, colour, leaves = 9, breadth = 0.34 }: SprigLook,
): { tip: Point; angle: number } {
  const { unit } = canvas;
  const bend = dice.around() * 0.7;
  const steps = 12;
  const points: { at: Point; angle: number }[] = [{ at: from, angle }];
  for (let step = 1; step <= steps; step += 1) {
    const last = points[step - 1] ?? { at: from, angle };
    const turned = angle + bend * (step / steps);
    points.push({ at: polar(last.at, turned, length / steps), angle: turned });
  }
  canvas.stroke(
    points.map(({ at }) => at),
    { colour: lighter(colour, -0.1), width: 3.4 * unit },
  );
  for (let each = 0; each < leaves; each += 1) {
    const part = 0.22 + (0.72 * each) / leaves;
    const { at, angle: along } = points[Math.round(part * steps)] ?? { at: from, angle };
    const direction = along + (each % 2 === 0 ? -1 : 1) * dice.between(0.6, 0.95);
    const long = length * 0.27 * (1.15 - part * 0.6) * dice.between(0.85, 1.15);
    const shade = dice.around() * 0.05;
    canvas.shape(leaf(at, direction, long, long * breadth), {
      colour: lighter(colour, 0.05 + shade),
      foot: lighter(colour, -0.06 + shade),
    });
    canvas.stroke([at, polar(at, direction, long * 0.86)], {
      colour: lighter(colour, -0.1),
      width: 1.1 * unit,
      opacity: 0.45,
    });
  }
  const end = points[steps] ?? { at: from, angle };
  return { tip: end.at, angle: end.angle };
}
