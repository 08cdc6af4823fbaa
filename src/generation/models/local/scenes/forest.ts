import { type Colour, lighter, mix } from '../colour.js';
import { type Point, wavering } from '../outlines.js';
import { birds, stars, sunOrMoon } from './heavens.js';
import { conifer, sprig } from './plants.js';
import type { Scene, Studio } from './scene.js';

/** A wood in layers: pale where it is deep, dark and near at the sides, and a path of light between. */
export const forest: Scene = (studio) => {
  const { canvas, palette, dice } = studio;
  const { width, height } = canvas;
  const clearing = width * dice.between(0.38, 0.62);
  canvas.sky(0.8);
  if (palette.isDark) stars(studio, 0.5);
  sunOrMoon(studio, [clearing, height * dice.between(0.22, 0.34)], 0.95);
  const layers = 6;
  for (let layer = 0; layer < layers; layer += 1) {
    const near = layer / (layers - 1);
    const foot = height * (0.6 + 0.36 * near ** 1.2);
    const colour = mix(mix(palette.land[0], palette.sky[2], 0.35), palette.land[1], near);
    row(studio, { near, foot, clearing, colour });
    ground(studio, { near, foot, clearing, colour });
    canvas.haze(foot - height * 0.3, foot + height * 0.03, palette.sky[2], 0.4 * (1 - near) ** 1.5);
  }
  for (let fern = 0; fern < 9; fern += 1) {
    const side = fern % 2 === 0 ? dice.between(0, 0.3) : dice.between(0.7, 1);
    sprig(studio, [side * width, height * 1.02], {
      angle: -Math.PI / 2 + dice.around() * 0.8,
      length: height * dice.between(0.1, 0.19),
      colour: lighter(palette.land[1], 0.1),
      leaves: 12,
      breadth: 0.24,
    });
  }
  if (!palette.isDark) birds(studio, [clearing, height * 0.16]);
};

interface Row {
  near: number;
  foot: number;
  /** Where nothing grows, so that one looks in. */
  clearing: number;
  colour: Colour;
}

function row(studio: Studio, { near, foot, clearing, colour }: Row): void {
  const { canvas, dice } = studio;
  const { width, height } = canvas;
  const gap = width * (0.05 + 0.3 * near ** 1.4);
  const count = Math.round(26 - 15 * near);
  for (let tree = 0; tree < count; tree += 1) {
    const x = width * (-0.05 + (1.1 * (tree + dice.next())) / count);
    if (Math.abs(x - clearing) < gap * dice.between(0.8, 1.1)) continue;
    const tall = Math.min(height, width * 1.1) * (0.2 + 0.52 * near) * dice.between(0.75, 1.15);
    conifer(studio, [x, foot + height * 0.02], tall, lighter(colour, dice.around() * 0.025));
  }
}

function ground({ canvas, dice }: Studio, { near, foot, clearing, colour }: Row): void {
  const { width, height } = canvas;
  const wave = wavering(dice.for(`ground ${near}`), 1.1);
  const dip = height * 0.03 * near;
  const ridge = Array.from({ length: 30 }, (_, at): Point => {
    const part = -0.03 + (1.06 * at) / 29;
    const inGap = Math.exp(-(((part * width - clearing) / (width * 0.2)) ** 2));
    return [part * width, foot - height * 0.012 * wave(part) + dip * inGap];
  });
  canvas.shape([...ridge, [width * 1.05, height * 1.06], [-width * 0.05, height * 1.06]], {
    colour: lighter(colour, 0.02),
    foot: lighter(colour, -0.04),
  });
}
