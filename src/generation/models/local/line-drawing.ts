import { Canvas, type Fill, opaque, round, type Stroke } from './canvas.js';
import { type Colour, css, lighter, mix } from './colour.js';
import { boundsOf, ellipse, type Outline, pathOf, type Point } from './outlines.js';

const WASH_OPACITY = 0.5;
/** The shorter side of what is hatched, in units: smaller things would only turn grey. */
const HATCHED_FROM = 120;

/** Ink on paper: what is in front covers what is behind, and a wash of colour misses its outline. */
export class LineDrawing extends Canvas {
  override sky(): void {
    const { width, height, palette, unit } = this;
    this.mark(this.everywhere(css(palette.paper)));
    const centre: Point = [width * this.dice.between(0.4, 0.6), height * 0.32];
    const colour = mix(palette.paper, lifted(palette.sky[1]), 0.55);
    for (const part of [1, 0.8, 0.62]) {
      const outline = ellipse(centre, width * 0.52 * part, height * 0.3 * part).map(
        ([x, y]): Point => [x + this.dice.around() * 30 * unit, y + this.dice.around() * 22 * unit],
      );
      this.mark(`<path d="${pathOf(outline)}" fill="${css(colour)}"${opaque('fill', 0.34)}/>`);
    }
  }

  override shape(outline: Outline, fill: Fill): void {
    const { unit, palette } = this;
    const { opacity = 1, isDetail = false } = fill;
    const path = pathOf(outline, { curved: !fill.isAngular });
    if (opacity < 0.45) {
      this.mark(
        `<path d="${path}" fill="${css(lifted(fill.colour))}"${opaque('fill', opacity * 0.5)}/>`,
      );
      return;
    }
    this.mark(`<path d="${path}" fill="${css(palette.paper)}"/>`);
    const [dx, dy] = isDetail ? [0, 0] : [5 * unit, 4 * unit];
    this.mark(
      `<path d="${path}" transform="translate(${round(dx)} ${round(dy)})" fill="${css(lifted(fill.colour))}"${opaque('fill', WASH_OPACITY)}/>`,
    );
    if (!isDetail) this.hatch(outline, path);
    const width = (isDetail ? 1.1 : 2.2) * unit;
    this.mark(
      `<path d="${path}" fill="none" stroke="${css(palette.ink)}" stroke-width="${round(width)}" stroke-linejoin="round"/>`,
    );
  }

  override stroke(points: Outline, { width, opacity }: Stroke): void {
    const thin = Math.min(width, 2.4 * this.unit);
    super.stroke(points, { colour: this.palette.ink, width: thin, opacity: opacity ?? 1 });
  }

  /** Rays instead of a shimmer. */
  override glow(centre: Point, radius: number, _colour: Colour, opacity = 0.8): void {
    if (opacity < 0.5) return;
    for (let ray = 0; ray < 28; ray += 1) {
      const angle = (ray / 28) * Math.PI * 2;
      const [from, to] = [radius * 0.36, radius * (ray % 2 === 0 ? 0.52 : 0.45)];
      const at = (distance: number): Point => [
        centre[0] + Math.cos(angle) * distance,
        centre[1] + Math.sin(angle) * distance,
      ];
      this.stroke([at(from), at(to)], { colour: this.palette.ink, width: this.unit * 1.4 });
    }
  }

  override haze(): void {
    // Paper is the haze.
  }

  /** Slanted lines in the lower right of a shape, where its shade is. */
  private hatch(outline: Outline, path: string): void {
    const { unit } = this;
    const { left, top, right, bottom } = boundsOf(outline);
    const [width, height] = [right - left, Math.min(bottom, this.height) - top];
    if (Math.min(width, height) < HATCHED_FROM * unit) return;
    const clip = this.define('c', (id) => `<clipPath id="${id}"><path d="${path}"/></clipPath>`);
    const step = 11 * unit;
    const lines: string[] = [];
    for (let x = left - height; x < right; x += step) {
      const reach = height * (0.35 + 0.3 * this.dice.next());
      const from: Point = [x + height - reach, top + reach];
      lines.push(`M${round(from[0])} ${round(from[1])}L${round(x)} ${round(top + height)}`);
    }
    this.mark(
      `<g clip-path="url(#${clip})"><path d="${lines.join('')}" fill="none" stroke="${css(this.palette.ink)}" stroke-width="${round(0.9 * unit)}" stroke-opacity="0.3"/></g>`,
    );
  }
}

/** A wash is never dark. */
function lifted(colour: Colour): Colour {
  return colour.l < 0.6 ? lighter(colour, (0.72 - colour.l) * 0.8) : colour;
}
