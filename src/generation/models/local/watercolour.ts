import { Canvas, type Fill, opaque, round, type Stroke } from './canvas.js';
import { type Colour, css, lighter } from './colour.js';
import { boundsOf, type Outline, pathOf, type Point, subdivided } from './outlines.js';

const WASH_OPACITY = 0.4;
/** Of the shorter side: what stays paper all around. */
const MARGIN = 0.035;

/**
 * Washes over each other, none of which ends where the last one did, pigment that gathers at their
 * edges and blooms within; and paper around it.
 */
export class Watercolour extends Canvas {
  /** It runs, and is slow to draw. */
  override readonly finest = 2;

  override sky(horizon?: number): void {
    super.sky(horizon);
    const { width, height, palette } = this;
    // Large ones would take most of the time of a picture.
    for (let at = 0; at < 5; at += 1) {
      const centre: Point = [this.dice.between(0, width), this.dice.between(0, height * 0.7)];
      const colour = at % 2 === 0 ? palette.paper : palette.sky[0];
      super.glow(centre, this.dice.between(0.14, 0.3) * width, colour, 0.32);
    }
  }

  override shape(outline: Outline, fill: Fill): void {
    const { colour, foot = lighter(colour, 0.07), opacity = 1 } = fill;
    if (fill.isDetail) {
      this.wash(outline, fill, css(colour), 0.85 * opacity, 0.25);
      return;
    }
    // Each change of colour costs as much as all the flat washes together.
    const washes = [css(colour), css(colour), this.pigment(colour, foot)];
    for (const paint of washes) this.wash(outline, fill, paint, WASH_OPACITY * opacity, 1);
    const edge = css(lighter(colour, -0.09));
    const path = pathOf(this.strayed(outline, 0.5), { curved: !fill.isAngular });
    this.mark(
      `<path d="${path}" fill="none" stroke="${edge}" stroke-width="${round(1.3 * this.unit)}"${opaque('stroke', 0.42 * opacity)}/>`,
    );
  }

  override stroke(points: Outline, stroke: Stroke): void {
    super.stroke(points, { ...stroke, opacity: 0.8 * (stroke.opacity ?? 1) });
  }

  override haze(top: number, bottom: number, _colour: Colour, opacity: number): void {
    super.haze(top, bottom, this.palette.paper, opacity * 0.8);
  }

  /** Nothing is painted but within a frame that a hand has drawn. */
  protected override framed(marks: string): string {
    const { width, height, dice } = this;
    const margin = Math.min(width, height) * MARGIN;
    const along = (from: Point, to: Point) =>
      Array.from({ length: 14 }, (_, at): Point => {
        const part = at / 14;
        const stray = () => dice.around() * margin * 0.22;
        return [
          from[0] + (to[0] - from[0]) * part + stray(),
          from[1] + (to[1] - from[1]) * part + stray(),
        ];
      });
    const corners: [Point, Point, Point, Point] = [
      [margin, margin],
      [width - margin, margin],
      [width - margin, height - margin],
      [margin, height - margin],
    ];
    const frame = corners.flatMap((corner, at) => along(corner, corners[(at + 1) % 4] ?? corner));
    return marks + this.mat(pathOf(frame));
  }

  private wash(outline: Outline, fill: Fill, paint: string, opacity: number, by: number): void {
    const path = pathOf(this.strayed(outline, by), { curved: !fill.isAngular });
    this.mark(`<path d="${path}" fill="${paint}"${opaque('fill', opacity)}/>`);
  }

  /** Thick in one place, thin in another. */
  private pigment(colour: Colour, thin: Colour): string {
    const [x, y] = [this.dice.between(0.1, 0.9), this.dice.between(0, 0.7)];
    return this.gradient('radial', `cx="${x.toFixed(2)}" cy="${y.toFixed(2)}" r="0.85"`, [
      `<stop offset="0" stop-color="${css(lighter(colour, -0.03))}"/>`,
      `<stop offset="0.55" stop-color="${css(colour)}"/>`,
      `<stop offset="1" stop-color="${css(thin)}"/>`,
    ]);
  }

  private strayed(outline: Outline, by: number): Point[] {
    const { left, top, right, bottom } = boundsOf(outline);
    const most = Math.min(4.5 * this.unit, 0.06 * Math.min(right - left, bottom - top)) * by;
    const fine = outline.length < 80 ? subdivided(outline) : outline;
    return fine.map(([x, y]) => [x + this.dice.around() * most, y + this.dice.around() * most]);
  }
}
