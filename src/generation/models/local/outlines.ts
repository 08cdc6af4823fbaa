import type { Dice } from './dice.js';

export type Point = readonly [x: number, y: number];
export type Outline = readonly Point[];

const ELLIPSE_POINTS = 18;

/** An SVG path through points: by curves (Catmull-Rom), or from corner to corner. */
export function pathOf(points: Outline, { curved = true, closed = true } = {}): string {
  const [first] = points;
  if (!first) return '';
  const end = closed ? 'Z' : '';
  if (!curved) return `M${points.map(written).join('L')}${end}`;
  const last = points.length - 1;
  const at = (index: number): Point => {
    const within = closed
      ? (index + points.length) % points.length
      : Math.min(last, Math.max(0, index));
    return points[within] ?? first;
  };
  const curves = Array.from({ length: closed ? points.length : last }, (_, index) => {
    const [before, from, to, after] = [at(index - 1), at(index), at(index + 1), at(index + 2)];
    const one: Point = [from[0] + (to[0] - before[0]) / 6, from[1] + (to[1] - before[1]) / 6];
    const two: Point = [to[0] - (after[0] - from[0]) / 6, to[1] - (after[1] - from[1]) / 6];
    return `C${written(one)} ${written(two)} ${written(to)}`;
  });
  return `M${written(first)}${curves.join('')}${end}`;
}

export function ellipse([x, y]: Point, rx: number, ry = rx, turn = 0): Point[] {
  return Array.from({ length: ELLIPSE_POINTS }, (_, at) => {
    const angle = (at / ELLIPSE_POINTS) * 2 * Math.PI;
    return turnedAround([x + rx * Math.cos(angle), y + ry * Math.sin(angle)], [x, y], turn);
  });
}

/** Something round that no compass has drawn. @param wobble how far it strays, as part of its radius */
export function blob(centre: Point, rx: number, ry: number, wobble: number, dice: Dice): Point[] {
  return ellipse(centre, rx, ry).map((point) => {
    const by = 1 + dice.around() * wobble;
    return [centre[0] + (point[0] - centre[0]) * by, centre[1] + (point[1] - centre[1]) * by];
  });
}

/** A leaf or a petal: from its stem to its tip, as wide as told in the middle. */
export function leaf(from: Point, angle: number, length: number, width: number): Point[] {
  const along = [0, 0.18, 0.42, 0.7, 0.92, 1, 0.92, 0.7, 0.42, 0.18];
  const across = [0, 0.55, 1, 0.78, 0.28, 0, -0.28, -0.78, -1, -0.55];
  return along.map((part, index) =>
    polar(from, angle, part * length, ((across[index] ?? 0) * width) / 2),
  );
}

/** A point so far along a direction, and so far to the side of it. */
export function polar([x, y]: Point, angle: number, along: number, aside = 0): Point {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [x + along * cos - aside * sin, y + along * sin + aside * cos];
}

export function turnedAround(point: Point, [x, y]: Point, angle: number): Point {
  const [dx, dy] = [point[0] - x, point[1] - y];
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [x + dx * cos - dy * sin, y + dx * sin + dy * cos];
}

/** A line that rises and falls by chance, of as many waves as told, between -1 and 1. */
export function wavering(dice: Dice, waves: number): (part: number) => number {
  const parts = [1, 2.03, 4.1].map((frequency, octave) => ({
    frequency: frequency * waves * Math.PI * 2 * dice.between(0.85, 1.15),
    phase: dice.between(0, Math.PI * 2),
    weight: 0.62 / 2.2 ** octave,
  }));
  return (part) =>
    parts.reduce(
      (sum, { frequency, phase, weight }) => sum + weight * Math.sin(frequency * part + phase),
      0,
    );
}

/** The ridge of a mountain: broken again and again in the middle, each time by less. */
export function crag(
  dice: Dice,
  from: Point,
  to: Point,
  roughness: number,
  depth: number,
): Point[] {
  if (depth === 0) return [from];
  const span = Math.hypot(to[0] - from[0], to[1] - from[1]);
  const middle: Point = [
    (from[0] + to[0]) / 2 + dice.around() * span * roughness * 0.25,
    (from[1] + to[1]) / 2 + dice.around() * span * roughness,
  ];
  return [
    ...crag(dice, from, middle, roughness, depth - 1),
    ...crag(dice, middle, to, roughness, depth - 1),
  ];
}

/** One point more between each two. */
export function subdivided(outline: Outline): Point[] {
  return outline.flatMap((point, at) => {
    const next = outline[(at + 1) % outline.length] ?? point;
    return [point, [(point[0] + next[0]) / 2, (point[1] + next[1]) / 2] as const];
  });
}

/** The corners of the smallest upright rectangle around it. */
export function boundsOf(outline: Outline): {
  left: number;
  top: number;
  right: number;
  bottom: number;
} {
  const xs = outline.map(([x]) => x);
  const ys = outline.map(([, y]) => y);
  return {
    left: Math.min(...xs),
    top: Math.min(...ys),
    right: Math.max(...xs),
    bottom: Math.max(...ys),
  };
}

function written([x, y]: Point): string {
  return `${x.toFixed(1)} ${y.toFixed(1)}`;
}
