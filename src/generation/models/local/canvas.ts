import type { PixelSize } from '../picture-sizes.js';
import { type Colour, css } from './colour.js';
import type { Dice } from './dice.js';
import { boundsOf, ellipse, type Outline, pathOf, type Point } from './outlines.js';
import type { Palette } from './palette.js';

/** How a shape is filled. */
export interface Fill {
  readonly colour: Colour;
  /** At its foot, when it is another colour there. */
  readonly foot?: Colour;
  readonly opacity?: number;
  /** Whether it has corners. Default: it is curved. */
  readonly isAngular?: boolean;
  /** Whether it is a small part of something, with which a style makes no fuss. */
  readonly isDetail?: boolean;
}

export interface Stroke {
  readonly colour: Colour;
  readonly width: number;
  readonly opacity?: number;
}

/** A strip across a picture, in its pixels. */
export interface PicturePart extends PixelSize {
  readonly top: number;
}

/**
 * What a scene is painted on, from back to front. Its units are the pixels of the picture at 1K,
 * whatever the size is in the end.
 *
 * This one paints naturally, with soft changes of colour. The other styles do the same in their own
 * manner, and scenes know nothing of it.
 */
export class Canvas {
  /** A thousandth of what the sides measure together, so to say: the measure for small things. */
  readonly unit: number;
  /** Pixels to a unit, beyond which drawing finer shows nothing more. */
  readonly finest: number = 4;
  private readonly definitions: string[] = [];
  private readonly marks: string[] = [];

  constructor(
    readonly size: PixelSize,
    protected readonly palette: Palette,
    protected readonly dice: Dice,
  ) {
    this.unit = Math.sqrt(size.width * size.height) / 1000;
  }

  get width(): number {
    return this.size.width;
  }

  get height(): number {
    return this.size.height;
  }

  /** All that is behind. @param horizon where the last colour is reached, from 0 to 1 */
  sky(horizon = 1): void {
    const [top, middle, low] = this.palette.sky;
    const stops = [
      [0, top],
      [0.55 * horizon, middle],
      [horizon, low],
    ] as const;
    const fill = this.gradient(
      'linear',
      'x1="0" y1="0" x2="0" y2="1"',
      stops.map(([at, colour]) => stop(at, colour)),
    );
    this.mark(this.everywhere(fill));
  }

  shape(outline: Outline, fill: Fill): void {
    const { colour, foot, opacity = 1, isAngular = false } = fill;
    const paint = foot ? this.downwards(outline, colour, foot) : css(colour);
    this.mark(
      `<path d="${pathOf(outline, { curved: !isAngular })}" fill="${paint}"${opaque('fill', opacity)}/>`,
    );
  }

  /** Something round and exact, such as the sun. */
  disc(centre: Point, radius: number, fill: Fill): void {
    this.shape(ellipse(centre, radius), fill);
  }

  /** Light around something. */
  glow([x, y]: Point, radius: number, colour: Colour, opacity = 0.8): void {
    const stops = [
      stop(0, colour, opacity),
      stop(0.25, colour, opacity * 0.5),
      stop(0.6, colour, opacity * 0.13),
      stop(1, colour, 0),
    ];
    const fill = this.gradient('radial', '', stops);
    this.mark(`<circle cx="${round(x)}" cy="${round(y)}" r="${round(radius)}" fill="${fill}"/>`);
  }

  /** Haze that thickens downwards between two heights, and is gone at both. */
  haze(top: number, bottom: number, colour: Colour, opacity: number): void {
    const stops = [stop(0, colour, 0), stop(0.65, colour, opacity), stop(1, colour, 0)];
    const fill = this.gradient('linear', 'x1="0" y1="0" x2="0" y2="1"', stops);
    const height = Math.max(0, bottom - top);
    this.mark(
      `<rect x="0" y="${round(top)}" width="${this.width}" height="${round(height)}" fill="${fill}"/>`,
    );
  }

  stroke(points: Outline, { colour, width, opacity = 1 }: Stroke): void {
    const path = pathOf(points, { closed: false });
    this.mark(
      `<path d="${path}" fill="none" stroke="${css(colour)}" stroke-width="${round(width)}" stroke-linecap="round" stroke-linejoin="round"${opaque('stroke', opacity)}/>`,
    );
  }

  /**
   * The finished scene, to be asked for once.
   *
   * @returns what tells the SVG of each part of it
   */
  finished(): (part: PicturePart) => Buffer {
    // First, since it may define something.
    const picture = this.framed(this.marks.join(''));
    const scene = `<defs>${this.definitions.join('')}</defs>${picture}`;
    return ({ width, top, height }) => {
      const scale = width / this.width;
      return Buffer.from(
        `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 ${top / scale} ${this.width} ${height / scale}">${scene}</svg>`,
      );
    };
  }

  /** What a style does with all marks in the end. */
  protected framed(marks: string): string {
    return marks;
  }

  /** Paper over all that is outside of an outline. */
  protected mat(inside: string): string {
    const { width, height } = this;
    const all = `M-9-9H${width + 9}V${height + 9}H-9Z`;
    return `<path d="${all}${inside}" fill="${css(this.palette.paper)}" fill-rule="evenodd"/>`;
  }

  protected mark(svg: string): void {
    this.marks.push(svg);
  }

  /** @returns its id */
  protected define(name: string, write: (id: string) => string): string {
    const id = `${name}${this.definitions.length}`;
    this.definitions.push(write(id));
    return id;
  }

  /** @returns what a fill refers to it by */
  protected gradient(kind: 'linear' | 'radial', where: string, stops: readonly string[]): string {
    const id = this.define(
      'g',
      (own) => `<${kind}Gradient id="${own}" ${where}>${stops.join('')}</${kind}Gradient>`,
    );
    return `url(#${id})`;
  }

  protected everywhere(fill: string): string {
    return `<rect width="${this.width}" height="${this.height}" fill="${fill}"/>`;
  }

  /** Within the picture: what reaches below it would have its foot there, too. */
  private downwards(outline: Outline, colour: Colour, foot: Colour): string {
    const { top, bottom } = boundsOf(outline);
    const end = Math.min(bottom, this.height);
    const where = `gradientUnits="userSpaceOnUse" x1="0" y1="${round(top)}" x2="0" y2="${round(end)}"`;
    return this.gradient('linear', where, [stop(0, colour), stop(1, foot)]);
  }
}

export function stop(offset: number, colour: Colour, opacity = 1): string {
  const transparency = opacity < 1 ? ` stop-opacity="${opacity.toFixed(3)}"` : '';
  return `<stop offset="${offset.toFixed(3)}" stop-color="${css(colour)}"${transparency}/>`;
}

/** Of the fill or the stroke alone: of a whole mark it would be drawn apart, at many times the cost. */
export function opaque(what: 'fill' | 'stroke', opacity: number): string {
  return opacity < 1 ? ` ${what}-opacity="${opacity.toFixed(3)}"` : '';
}

export function round(value: number): string {
  return value.toFixed(1);
}
