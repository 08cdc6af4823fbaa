/**
 * A colour in OKLCH (https://bottosson.github.io/posts/oklab/): lightness from 0 to 1, chroma from 0
 * to some 0.3, hue in degrees. Steps that are equal here look equal.
 */
export interface Colour {
  readonly l: number;
  readonly c: number;
  readonly h: number;
}

const WHOLE_TURN = 360;

/** Between two colours, by the straight way, so that opposite hues meet in grey and not in a third. */
export function mix(from: Colour, to: Colour, part: number): Colour {
  const [a, b] = [labOf(from), labOf(to)];
  return fromLab(
    from.l + (to.l - from.l) * part,
    a[0] + (b[0] - a[0]) * part,
    a[1] + (b[1] - a[1]) * part,
  );
}

/** Lighter, or darker when negative. */
export function lighter({ l, c, h }: Colour, by: number): Colour {
  return { l: Math.min(1, Math.max(0, l + by)), c, h };
}

/** As light as before, with more or less colour. */
export function stronger({ l, c, h }: Colour, factor: number): Colour {
  return { l, c: c * factor, h };
}

export function turned({ l, c, h }: Colour, degrees: number): Colour {
  return { l, c, h: (h + degrees + WHOLE_TURN) % WHOLE_TURN };
}

/** `#rrggbb`. What no screen shows loses chroma until one does. */
export function css(colour: Colour): string {
  let { c } = colour;
  while (c > 0.001 && !isShown(linearOf({ ...colour, c }))) c *= 0.92;
  const bytes = linearOf({ ...colour, c }).map((value) => Math.round(255 * encoded(value)));
  return `#${Buffer.from(bytes).toString('hex')}`;
}

/** @param red red, green and blue from 0 to 255 */
export function fromRgb(red: number, green: number, blue: number): Colour {
  const [r, g, b] = [decoded(red / 255), decoded(green / 255), decoded(blue / 255)];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return fromLab(
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  );
}

function labOf({ c, h }: Colour): [number, number] {
  const angle = (h / 180) * Math.PI;
  return [c * Math.cos(angle), c * Math.sin(angle)];
}

function fromLab(l: number, a: number, b: number): Colour {
  const h = (Math.atan2(b, a) / Math.PI) * 180;
  return { l, c: Math.hypot(a, b), h: (h + WHOLE_TURN) % WHOLE_TURN };
}

function linearOf(colour: Colour): [number, number, number] {
  const [a, b] = labOf(colour);
  const l = (colour.l + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (colour.l - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (colour.l - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}

function isShown(rgb: readonly number[]): boolean {
  return rgb.every((value) => value > -0.0005 && value < 1.0005);
}

function encoded(value: number): number {
  const within = Math.min(1, Math.max(0, value));
  return within <= 0.0031308 ? 12.92 * within : 1.055 * within ** (1 / 2.4) - 0.055;
}

function decoded(value: number): number {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}
