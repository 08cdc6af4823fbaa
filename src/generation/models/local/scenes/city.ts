import { type Colour, lighter, mix } from '../colour.js';
import type { Point } from '../outlines.js';
import { birds, clouds, stars, sunOrMoon } from './heavens.js';
import type { Scene, Studio } from './scene.js';

/** Houses behind houses at a river, with lights in their windows. */
export const city: Scene = (studio) => {
  const { canvas, palette, dice } = studio;
  const { width, height } = canvas;
  const shore = height * dice.between(0.76, 0.84);
  canvas.sky(0.75);
  if (palette.isDark) stars(studio, 0.55);
  const light: Point = [width * dice.between(0.2, 0.8), height * dice.between(0.18, 0.42)];
  sunOrMoon(studio, light, 1.3);
  clouds(studio, 0.08, 0.45, 3);
  for (let layer = 0; layer < 4; layer += 1) {
    const near = layer / 3;
    const colour = mix(
      mix(palette.land[0], palette.sky[2], 0.4 - 0.4 * near),
      palette.land[1],
      near * 0.88,
    );
    houses(studio, shore, near, colour);
    canvas.haze(shore - height * 0.24, shore, palette.sky[2], 0.38 * (1 - near));
  }
  river(studio, shore, light[0]);
  if (!palette.isDark) birds(studio, [width * dice.between(0.3, 0.7), height * 0.2]);
};

function houses(studio: Studio, shore: number, near: number, colour: Colour): void {
  const { canvas, dice } = studio;
  const { width, height, unit } = canvas;
  for (let x = -width * 0.03; x < width * 1.02;) {
    const wide = unit * dice.between(42, 88) * (0.8 + 0.35 * near);
    const bell = 0.65 + 0.5 * Math.sin((x / width) * Math.PI);
    const tall = height * dice.between(0.14, 0.42) * (1.05 - 0.55 * near) * bell;
    house(studio, { x, wide, tall, shore, colour: lighter(colour, dice.around() * 0.035), near });
    x += wide + (dice.happens(0.3) ? unit * dice.between(2, 16) : 0);
  }
}

interface House {
  x: number;
  wide: number;
  tall: number;
  shore: number;
  colour: Colour;
  near: number;
}

function house(studio: Studio, { x, wide, tall, shore, colour, near }: House): void {
  const { canvas, palette, dice } = studio;
  const top = shore - tall;
  const roof = dice.next();
  const roofs: Point[] =
    roof < 0.4
      ? [
          [x, top],
          [x + wide, top],
        ]
      : roof < 0.65
        ? [
            [x, top],
            [x + wide / 2, top - wide * 0.42],
            [x + wide, top],
          ]
        : roof < 0.85
          ? [
              [x, top],
              [x + wide * 0.2, top],
              [x + wide * 0.2, top - wide * 0.3],
              [x + wide * 0.8, top - wide * 0.3],
              [x + wide * 0.8, top],
              [x + wide, top],
            ]
          : [
              [x, top],
              [x + wide * 0.44, top - wide * 0.25],
              [x + wide * 0.5, top - wide * 1.1],
              [x + wide * 0.56, top - wide * 0.25],
              [x + wide, top],
            ];
  canvas.shape([...roofs, [x + wide, shore + 4], [x, shore + 4]], {
    colour: lighter(colour, -0.02),
    foot: mix(colour, palette.sky[2], 0.25 * (1 - near)),
    isAngular: true,
  });
  if (near > 0.3) windows(studio, { x, wide, tall, shore, colour, near });
}

function windows(
  { canvas, palette, dice }: Studio,
  { x, wide, tall, shore, colour, near }: House,
): void {
  const { unit } = canvas;
  const step = unit * (13 + 5 * near);
  const isLate = palette.isDark || palette.sky[1].l < 0.7;
  const lamp: Colour = { l: 0.87, c: 0.12, h: 82 };
  const lit = mix(lamp, palette.accents[1], 0.15);
  for (let top = shore - tall + step * 0.9; top < shore - step; top += step * 1.25) {
    for (let left = x + step * 0.55; left < x + wide - step * 0.8; left += step) {
      if (dice.happens(0.25)) continue;
      const isLit = dice.happens(isLate ? 0.55 : 0.12);
      const [right, bottom] = [left + step * 0.44, top + step * 0.62];
      canvas.shape(
        [
          [left, top],
          [right, top],
          [right, bottom],
          [left, bottom],
        ],
        {
          colour: isLit ? lit : lighter(colour, isLate ? -0.05 : 0.09),
          opacity: isLit ? 0.95 : 0.7,
          isAngular: true,
          isDetail: true,
        },
      );
    }
  }
}

function river({ canvas, palette, dice }: Studio, shore: number, light: number): void {
  const { width, height, unit } = canvas;
  const outline: Point[] = [
    [-20, shore],
    [width + 20, shore],
    [width + 20, height * 1.05],
    [-20, height * 1.05],
  ];
  canvas.shape(outline, {
    colour: mix(palette.water[0], palette.land[1], 0.3),
    foot: palette.water[1],
    isAngular: true,
  });
  for (let glint = 0; glint < 110; glint += 1) {
    const down = dice.next();
    const isOfLight = dice.happens(0.35);
    const x = isOfLight ? light + dice.around() * 70 * unit * (0.5 + down) : dice.between(0, width);
    const y = shore + 4 * unit + (height - shore) * down;
    const long = unit * dice.between(4, 26) * (0.5 + down);
    const colour = isOfLight ? palette.light : mix(palette.accents[1], palette.light, 0.5);
    canvas.stroke(
      [
        [x - long, y],
        [x + long, y],
      ],
      { colour, width: unit * (1 + 1.4 * down), opacity: isOfLight ? 0.6 : 0.28 },
    );
  }
}
