import { Canvas, type Fill, opaque, round } from './canvas.js';
import { type Colour, css, mix, stronger } from './colour.js';
import { ellipse, type Outline, pathOf, type Point } from './outlines.js';

const BANDS = 5;
/** Of the shorter side: the paper around the print. */
const MARGIN = 0.04;

/** Printed from few inks: flat colours, no soft edges, and the paper as a frame. */
export class Poster extends Canvas {
  override sky(horizon = 1): void {
    const { width, height } = this;
    const [top, middle, low] = this.palette.sky;
    this.mark(this.everywhere(css(inked(top))));
    // Rings around where the sky is lightest, as printers had them for want of gradients.
    const centre: Point = [width * this.dice.between(0.3, 0.7), height * horizon * 0.92];
    const reach = Math.hypot(width, height) * 0.72;
    for (let band = 1; band <= BANDS; band += 1) {
      const part = band / BANDS;
      const colour = part < 0.5 ? mix(top, middle, part * 2) : mix(middle, low, part * 2 - 1);
      this.flat(ellipse(centre, reach * (1 - part * 0.82)), inked(colour));
    }
  }

  /** One ink over another shows both. */
  override shape(outline: Outline, { colour, opacity = 1, isAngular = false }: Fill): void {
    this.flat(outline, inked(colour), { opacity, isCurved: !isAngular });
  }

  override glow(centre: Point, radius: number, colour: Colour, opacity = 0.8): void {
    if (opacity < 0.4) return;
    this.flat(ellipse(centre, radius * 0.34), inked(mix(this.palette.sky[1], colour, 0.5)));
  }

  override haze(): void {
    // There is no ink as thin as that.
  }

  protected override framed(marks: string): string {
    const { width, height } = this;
    const margin = Math.min(width, height) * MARGIN;
    const inside = `M${round(margin)} ${round(margin)}H${round(width - margin)}V${round(height - margin)}H${round(margin)}Z`;
    return marks + this.mat(inside);
  }

  private flat(outline: Outline, colour: Colour, { opacity = 1, isCurved = true } = {}): void {
    const path = pathOf(outline, { curved: isCurved });
    this.mark(`<path d="${path}" fill="${css(colour)}"${opaque('fill', opacity)}/>`);
  }
}

function inked(colour: Colour): Colour {
  return stronger(colour, 1.25);
}
