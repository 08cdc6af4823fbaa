import { type Colour, lighter, mix } from '../colour.js';
import { blob, ellipse, leaf, type Point, polar } from '../outlines.js';
import { sunOrMoon } from './heavens.js';
import { sprig } from './plants.js';
import type { Scene, Studio } from './scene.js';

type Bloom = (studio: Studio, at: Point, radius: number, colour: Colour) => void;

/** A bunch of flowers and leaves before a calm ground, as herbals have them. */
export const flowers: Scene = (studio) => {
  const { canvas, palette, dice } = studio;
  const { width, height, unit } = canvas;
  canvas.sky();
  const heart: Point = [width * dice.between(0.44, 0.56), height * dice.between(0.4, 0.46)];
  const reach = Math.min(width, height) * 0.5;
  if (palette.isDark) sunOrMoon(studio, [heart[0], height * 0.2]);
  canvas.shape(blob(heart, reach * 0.82, reach * 0.82, 0.03, dice), {
    colour: mix(palette.sky[2], palette.accents[2], 0.22),
    foot: mix(palette.sky[2], palette.accents[2], 0.08),
    opacity: 0.75,
  });
  const root: Point = [width * 0.5, height * 1.04];
  const leafy = greenOf(studio);
  const fan = Math.min(1.15, 0.55 * (width / height) + 0.42);
  for (let stalk = 0; stalk < 9; stalk += 1) {
    const angle = -Math.PI / 2 + (stalk / 8 - 0.5) * 2 * fan + dice.around() * 0.12;
    const tone =
      stalk % 3 === 0 ? mix(leafy, palette.sky[0], 0.35) : lighter(leafy, dice.around() * 0.07);
    const look = { colour: tone, leaves: dice.whole(8, 13), breadth: dice.between(0.26, 0.46) };
    sprig(studio, root, {
      angle,
      length: Math.min(height, width * 1.15) * dice.between(0.5, 0.72),
      ...look,
    });
  }
  for (let bud = 0; bud < 7; bud += 1) berries(studio, root, heart, reach);
  const bloom = dice.pick<Bloom>([rose, daisy, tulip]);
  const second = dice.pick<Bloom>([daisy, rose, poppy]);
  const count = dice.whole(5, 7);
  for (let flower = count - 1; flower >= 0; flower -= 1) {
    const part = flower / (count - 1) - 0.5;
    const at: Point = [
      heart[0] + part * reach * (1.5 + 0.25 * dice.around()),
      heart[1] +
        reach * (Math.abs(part) * 0.5 + (flower % 2 === 0 ? -0.17 : 0.13) + dice.around() * 0.14),
    ];
    stem(studio, root, at, leafy);
    const isFirst = flower % 3 !== 1;
    const colour = lighter(palette.accents[isFirst ? 0 : 1], dice.around() * 0.05);
    (isFirst ? bloom : second)(
      studio,
      at,
      unit * dice.between(72, 112) * (1.15 - Math.abs(part) * 0.5),
      colour,
    );
  }
};

/** Green, unless the prompt or a source has another idea of the land. */
function greenOf({ palette }: Studio): Colour {
  const leafy = mix(palette.land[1], { l: 0.5, c: 0.09, h: 148 }, 0.6);
  return palette.isDark ? lighter(leafy, -0.08) : leafy;
}

function stem({ canvas }: Studio, from: Point, to: Point, colour: Colour): void {
  const middle: Point = [from[0] * 0.35 + to[0] * 0.65, (from[1] + to[1]) / 2];
  canvas.stroke([from, middle, to], { colour: lighter(colour, -0.05), width: 4.4 * canvas.unit });
}

/** Petals around petals, smaller and darker towards the middle. */
const rose: Bloom = ({ canvas, dice }, at, radius, colour) => {
  const rings = 5;
  for (let ring = 0; ring < rings; ring += 1) {
    const size = radius * (1 - ring / (rings + 0.4));
    const petals = 8 - ring;
    const turn = dice.between(0, Math.PI);
    for (let petal = 0; petal < petals; petal += 1) {
      const angle = turn + (petal / petals) * Math.PI * 2;
      const tone = lighter(colour, 0.07 - ring * 0.045 + dice.around() * 0.025);
      canvas.shape(ellipse(polar(at, angle, size * 0.5), size * 0.52, size * 0.42, angle), {
        colour: lighter(tone, 0.04),
        foot: lighter(tone, -0.05),
        isDetail: ring > 2,
      });
    }
  }
};

/** Long petals around a heart full of pollen. */
const daisy: Bloom = ({ canvas, palette, dice }, at, radius, colour) => {
  for (const [layer, size] of [1, 0.82].entries()) {
    const petals = 15;
    const turn = dice.between(0, 1);
    for (let petal = 0; petal < petals; petal += 1) {
      const angle = turn + (petal / petals) * Math.PI * 2;
      const long = radius * size * dice.between(0.92, 1.06);
      canvas.shape(leaf(at, angle, long, long * 0.34), {
        colour: lighter(colour, layer * 0.06 + dice.around() * 0.02),
        foot: lighter(colour, -0.04),
        isDetail: layer > 0,
      });
    }
  }
  const heart = mix(palette.accents[1], { l: 0.75, c: 0.14, h: 75 }, 0.6);
  canvas.disc(at, radius * 0.26, { colour: lighter(heart, 0.03), foot: lighter(heart, -0.16) });
  for (let grain = 0; grain < 26; grain += 1) {
    const spot = polar(at, dice.between(0, Math.PI * 2), radius * 0.22 * Math.sqrt(dice.next()));
    canvas.disc(spot, radius * 0.018, {
      colour: lighter(heart, -0.2),
      opacity: 0.7,
      isDetail: true,
    });
  }
};

/** A cup of three petals. */
const tulip: Bloom = ({ canvas }, at, radius, colour) => {
  const foot = polar(at, Math.PI / 2, radius * 0.75);
  for (const [turn, by] of [
    [-0.34, -0.05],
    [0.34, -0.03],
    [0, 0.05],
  ] as const) {
    canvas.shape(leaf(foot, -Math.PI / 2 + turn, radius * 1.65, radius * 0.95), {
      colour: lighter(colour, 0.06 + by),
      foot: lighter(colour, by - 0.07),
    });
  }
};

/** Four broad petals and a dark heart. */
const poppy: Bloom = ({ canvas, palette, dice }, at, radius, colour) => {
  const turn = dice.between(0, Math.PI);
  for (let petal = 0; petal < 4; petal += 1) {
    const angle = turn + (petal / 4) * Math.PI * 2;
    const tone = lighter(colour, dice.around() * 0.05);
    canvas.shape(blob(polar(at, angle, radius * 0.45), radius * 0.6, radius * 0.56, 0.07, dice), {
      colour: lighter(tone, 0.05),
      foot: lighter(tone, -0.06),
    });
  }
  canvas.disc(at, radius * 0.22, { colour: lighter(palette.ink, 0.04) });
  for (let grain = 0; grain < 18; grain += 1) {
    const spot = polar(at, (grain / 18) * Math.PI * 2, radius * dice.between(0.26, 0.34));
    canvas.disc(spot, radius * 0.024, { colour: palette.ink, isDetail: true });
  }
};

function berries(
  { canvas, palette, dice }: Studio,
  root: Point,
  heart: Point,
  reach: number,
): void {
  const { unit } = canvas;
  const at: Point = [
    heart[0] + dice.around() * reach * 1.3,
    heart[1] - reach * dice.between(0.2, 0.75),
  ];
  canvas.stroke([root, [(root[0] + at[0] * 2) / 3, (root[1] + at[1]) / 2], at], {
    colour: palette.land[1],
    width: 1.8 * unit,
    opacity: 0.55,
  });
  for (let berry = 0; berry < 7; berry += 1) {
    const spot = polar(at, dice.between(0, Math.PI * 2), unit * dice.between(4, 26));
    canvas.disc(spot, unit * dice.between(4, 7.5), { colour: palette.accents[2], isDetail: true });
  }
}
