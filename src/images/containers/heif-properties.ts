import { av1Settings, hevcSettings } from './heif-codec.js';
import type { HeifItem } from './heif-items.js';
import { profileIn } from './icc-profile.js';
import { boxOf, FULL_BOX_BYTES, type IsoBox } from './iso-boxes.js';

/** Type, then primaries, transfer characteristics, matrix and range by their code points. */
const NCLX_BYTES = 4 + 7;
const MAX_CHANNELS = 4;
/** Wider than any picture is. What is larger in a frame or a ratio is no number but text. */
const MAX_FRACTION_TERM = 2 ** 20;
/** ISO/IEC 23008-2, D.3.28: in 0.00002 of the CIE 1931 coordinates, and in 0.0001 cd/m². */
const MAX_CHROMATICITY = 50_000;
const MAX_LUMINANCE = 10_000 * 10_000;
const MAX_ALPHA_NAME_BYTES = 64;
const ALPHA = /^urn:mpeg:(?:mpegB:cicp:systems:auxiliary:alpha|hevc:2015:auxid:1)(?:\0|$)/;

type Rewrite = (content: Buffer) => Buffer | undefined;

/**
 * The properties that change how a picture is decoded or shown, and what of each means something:
 * ISO/IEC 23008-12, section 6.5, ISO/IEC 14496-12, section 12.1, and AV1 Image File Format,
 * section 2.3.2. Undefined stands for a property that says nothing readable.
 */
const REWRITES = new Map<string, Rewrite>([
  ['ispe', (content) => unversioned(first(content, FULL_BOX_BYTES + 8))],
  ['pixi', channels],
  ['colr', colours],
  ['auxC', auxiliaryType],
  ['hvcC', hevcSettings],
  ['av1C', av1Settings],
  ['irot', (content) => masked(content, 0x03)],
  ['imir', (content) => masked(content, 0x01)],
  ['clap', (content) => fractions(content, 4)],
  ['pasp', (content) => fractions(content, 1)],
  ['clli', (content) => first(content, 4)],
  ['mdcv', masteringDisplay],
  ['amve', (content) => first(content, 8)],
  ['a1op', (content) => masked(content, 0x1f)],
  ['lsel', (content) => first(content, 2)],
]);
const CODECS = new Map([
  ['av1C', ['av01']],
  ['hvcC', ['hvc1', 'hev1']],
]);

/** Writes the properties of items anew. */
export class PropertyWriter {
  private readonly written = new Map<IsoBox, Buffer | undefined>();
  private readonly bytes: Buffer;

  /** @param bytes what the boxes of the properties lie in */
  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Those of an item that are kept: the first of each kind, as there may be no second one. */
  keptOf({ type, properties }: HeifItem): Set<IsoBox> {
    const kept = new Map<string, IsoBox>();
    for (const property of properties) {
      const kind = this.kindOf(property);
      const fits = CODECS.get(property.type)?.includes(type) ?? true;
      if (fits && !kept.has(kind) && this.write(property)) kept.set(kind, property);
    }
    return new Set(kept.values());
  }

  /** @returns undefined for a property that goes */
  write(property: IsoBox): Buffer | undefined {
    if (this.written.has(property)) return this.written.get(property);
    const content = REWRITES.get(property.type)?.(this.contentOf(property));
    const box = content && boxOf(property.type, content);
    this.written.set(property, box);
    return box;
  }

  /** A picture may have a profile and code points. */
  private kindOf(property: IsoBox): string {
    const isNamed = property.type === 'colr' && isNclx(this.contentOf(property));
    return isNamed ? 'nclx' : property.type;
  }

  private contentOf({ body, end }: IsoBox): Buffer {
    return this.bytes.subarray(body, end);
  }
}

/** Whether an item is an alpha channel, by the content of its `auxC` box. */
export function isAlphaType(content: Buffer): boolean {
  return alphaName(content) !== undefined;
}

/**
 * The colour primaries that a `colr` box names.
 *
 * @param content of the box
 * @returns the code point of ITU-T H.273, undefined when the box holds a profile
 */
export function namedPrimaries(content: Buffer): number | undefined {
  return isNclx(content) && content.length >= NCLX_BYTES ? content.readUInt16BE(4) : undefined;
}

function isNclx(content: Buffer): boolean {
  return content.toString('latin1', 0, 4) === 'nclx';
}

function first(content: Buffer, length: number): Buffer | undefined {
  return content.length < length ? undefined : content.subarray(0, length);
}

/** All such boxes are of version 0 and have no flags. */
function unversioned(content: Buffer | undefined): Buffer | undefined {
  return content && Buffer.concat([Buffer.alloc(FULL_BOX_BYTES), content.subarray(FULL_BOX_BYTES)]);
}

function masked(content: Buffer, mask: number): Buffer | undefined {
  const [byte] = content;
  return byte === undefined ? undefined : Buffer.from([byte & mask]);
}

/** The number of channels, and the depth of each. */
function channels(content: Buffer): Buffer | undefined {
  const count = content[FULL_BOX_BYTES] ?? 0;
  if (count > MAX_CHANNELS) return undefined;
  return unversioned(first(content, FULL_BOX_BYTES + 1 + count));
}

/** Code points, or an ICC profile. */
function colours(content: Buffer): Buffer | undefined {
  if (isNclx(content)) {
    const named = first(content, NCLX_BYTES);
    const range = named && masked(named.subarray(-1), 0x80);
    return range && Buffer.concat([named.subarray(0, -1), range]);
  }
  const kind = content.toString('latin1', 0, 4);
  const profile = kind === 'prof' || kind === 'rICC' ? profileIn(content.subarray(4)) : undefined;
  return profile && content.subarray(0, 4 + profile.length);
}

function auxiliaryType(content: Buffer): Buffer | undefined {
  const name = alphaName(content);
  return unversioned(name === undefined ? undefined : first(content, FULL_BOX_BYTES + name.length));
}

/** With the zero that ends it, which the last field of a box may go without. */
function alphaName(content: Buffer): string | undefined {
  const end = FULL_BOX_BYTES + MAX_ALPHA_NAME_BYTES;
  const [name] = ALPHA.exec(content.toString('latin1', FULL_BOX_BYTES, end)) ?? [];
  return name;
}

/** @param count of fractions, whose terms have four bytes each */
function fractions(content: Buffer, count: number): Buffer | undefined {
  const kept = first(content, 8 * count);
  for (let at = 0; kept && at < kept.length; at += 4) {
    if (Math.abs(kept.readInt32BE(at)) > MAX_FRACTION_TERM) return undefined;
  }
  return kept;
}

/** Three primaries and the white point, the highest luminance and the lowest. */
function masteringDisplay(content: Buffer): Buffer | undefined {
  const kept = first(content, 24);
  for (let at = 0; kept && at < 16; at += 2) {
    if (kept.readUInt16BE(at) > MAX_CHROMATICITY) return undefined;
  }
  const isLit = [16, 20].every((at) => kept && kept.readUInt32BE(at) <= MAX_LUMINANCE);
  return isLit ? kept : undefined;
}
