import { type Colour, lighter, mix } from '../colour.js';
import { blob, ellipse, type Outline, type Point, wavering } from '../outlines.js';
import type { Scene, Studio } from './scene.js';

/** Broad ribbons that flow through each other, and a few orbs. */
export const ribbons: Scene = (studio) => {
  const { canvas, palette, dice } = studio;
  const { width, height } = canvas;
  canvas.sky();
  const colours = scaleOf(studio);
  const orb: Point = [width * dice.between(0.2, 0.8), height * dice.between(0.18, 0.4)];
  const radius = Math.min(width, height) * dice.between(0.13, 0.2);
  canvas.glow(orb, radius * 3, palette.light, 0.6);
  canvas.disc(orb, radius, {
    colour: lighter(palette.accents[0], 0.08),
    foot: mix(palette.accents[0], palette.accents[1], 0.7),
  });
  const bands = 9;
  const lean = dice.around() * 0.35;
  const swell = wavering(dice.for('swell'), 0.55);
  for (let band = 0; band < bands; band += 1) {
    const part = band / (bands - 1);
    const own = wavering(dice.for(`ribbon ${band}`), 0.7);
    const edge = (down: number) =>
      Array.from({ length: 32 }, (_, step): Point => {
        const across = -0.04 + (1.08 * step) / 31;
        const flow = 0.13 * swell(across + part * 0.12) + 0.035 * own(across + down);
        return [across * width, height * (0.3 + 0.66 * part + flow + lean * (across - 0.5) + down)];
      });
    const colour = colours[band] ?? palette.light;
    // The last one reaches below the picture.
    const thick = 0.13 + 0.05 * dice.next() + (band === bands - 1 ? 0.4 : 0);
    canvas.shape([...edge(0), ...edge(thick).reverse()], {
      colour: lighter(colour, 0.07),
      foot: lighter(colour, -0.07),
      opacity: 0.82,
    });
    canvas.stroke(edge(0), { colour: palette.light, width: 1.6 * canvas.unit, opacity: 0.4 });
  }
  for (let bead = 0; bead < 8; bead += 1) {
    const at: Point = [width * dice.next(), height * dice.between(0.08, 0.9)];
    const size = canvas.unit * dice.between(6, 26);
    const colour = palette.accents[bead % 3] ?? palette.light;
    canvas.shape(blob(at, size, size, 0.03, dice), {
      colour: lighter(colour, 0.1),
      foot: lighter(colour, -0.1),
    });
  }
};

/** A wall of tiles with quarters of circles, discs, leaves and stripes. */
export const shapes: Scene = (studio) => {
  const { canvas, palette, dice } = studio;
  const { width, height } = canvas;
  canvas.sky();
  const across = dice.whole(3, 4);
  const tile = Math.min(width, height) / across;
  const columns = Math.ceil(width / tile);
  const rows = Math.ceil(height / tile);
  const [left, top] = [(width - columns * tile) / 2, (height - rows * tile) / 2];
  const colours = [
    ...palette.accents,
    palette.land[1],
    palette.water[0],
    palette.paper,
    palette.sky[0],
  ] as const;
  for (let cell = 0; cell < columns * rows; cell += 1) {
    const corner: Point = [left + (cell % columns) * tile, top + Math.floor(cell / columns) * tile];
    const ground = dice.pick<Colour>(colours);
    const figure = farthest(ground, [
      dice.pick<Colour>(colours),
      dice.pick<Colour>(colours),
      dice.pick<Colour>(colours),
    ]);
    tiled(studio, corner, tile, ground, figure);
  }
};

function tiled(studio: Studio, [x, y]: Point, tile: number, ground: Colour, figure: Colour): void {
  const { canvas, dice } = studio;
  const square: Outline = [
    [x, y],
    [x + tile, y],
    [x + tile, y + tile],
    [x, y + tile],
  ];
  canvas.shape(square, { colour: ground, isAngular: true });
  const centre: Point = [x + tile / 2, y + tile / 2];
  const turn = dice.whole(0, 3);
  const look = { colour: lighter(figure, 0.03), foot: lighter(figure, -0.03), isAngular: true };
  const kind = dice.whole(0, 5);
  if (kind === 0) canvas.shape(quarter(square, turn, tile), look);
  else if (kind === 1) {
    canvas.shape(quarter(square, turn, tile), look);
    canvas.shape(quarter(square, turn, tile * 0.5), { ...look, colour: ground, foot: ground });
  } else if (kind === 2) {
    canvas.shape(ellipse(centre, tile * 0.38), { ...look, isAngular: false });
    canvas.shape(ellipse(centre, tile * 0.16), { colour: ground, isDetail: true });
  } else if (kind === 3) {
    canvas.shape(
      [...quarter(square, turn, tile).slice(1), ...quarter(square, turn + 2, tile).slice(1)],
      look,
    );
  } else if (kind === 4) {
    const corners = [0, 1, 2].map((at) => square[(at + turn) % 4] ?? centre);
    canvas.shape(corners, look);
  } else stripes(studio, [x, y], tile, figure);
}

/** Of a disc around one corner of a square: the corner, then the arc. */
function quarter(square: Outline, turn: number, radius: number): Point[] {
  const corner = square[turn % 4] ?? [0, 0];
  const from = ((turn % 4) * Math.PI) / 2;
  const arc = Array.from({ length: 17 }, (_, step): Point => {
    const angle = from + (step / 16) * (Math.PI / 2);
    return [corner[0] + Math.cos(angle) * radius, corner[1] + Math.sin(angle) * radius];
  });
  return [corner, ...arc];
}

function stripes({ canvas, dice }: Studio, [x, y]: Point, tile: number, colour: Colour): void {
  const count = 4;
  const isUpright = dice.happens(0.5);
  for (let stripe = 0; stripe < count; stripe += 1) {
    const at = (stripe + 0.25) / count;
    const [from, to] = [at * tile, (at + 0.5 / count) * tile];
    const outline: Outline = isUpright
      ? [
          [x + from, y],
          [x + to, y],
          [x + to, y + tile],
          [x + from, y + tile],
        ]
      : [
          [x, y + from],
          [x + tile, y + from],
          [x + tile, y + to],
          [x, y + to],
        ];
    canvas.shape(outline, { colour, isAngular: true, isDetail: true });
  }
}

/** From the first accent to the second by way of the water, dark and light by turns. */
function scaleOf({ palette }: Studio): Colour[] {
  const [first, second, third] = palette.accents;
  const between = [
    palette.sky[0],
    first,
    second,
    palette.water[0],
    third,
    palette.water[1],
    first,
    palette.land[1],
    palette.land[1],
  ];
  return between.map((colour, at) => mix(colour, between[at + 1] ?? colour, 0.3));
}

function farthest(from: Colour, among: [Colour, ...Colour[]]): Colour {
  const distance = (colour: Colour) =>
    Math.abs(colour.l - from.l) +
    Math.abs(colour.c - from.c) +
    Math.abs(Math.sin(((colour.h - from.h) / 360) * Math.PI)) * 0.2;
  return among.reduce((best, each) => (distance(each) > distance(best) ? each : best));
}
