import { describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { gridOf, heifFile, pictureOf, reference } from '../../../test/heif-file.js';
import { drawing, fixture } from '../../../test/pictures.js';
import { boxOf, fullBoxOf, uint } from '../containers/iso-boxes.js';
import { namedProfile } from './colour-profile.js';

const [SRGB, P3] = [1, 12].map((primaries) =>
  boxOf('colr', Buffer.from('nclx'), uint(2, primaries), uint(2, 13), uint(2, 6), uint(1, 0x80)),
) as [Buffer, Buffer];
/** Text that is no box of a property. */
const PLANTED = Buffer.concat([Buffer.from('colrnclx'), uint(2, 12), Buffer.alloc(5)]);

describe('The named colour space of a picture', () => {
  it('is that of its colr box', async () => {
    expect(await isP3([P3])).toBe(true);
    expect(await isP3([SRGB])).toBe(false);
    expect(await isP3([])).toBe(false);
    expect(await namedProfile(await fixture('plain.heic'))).toBe(undefined);
  });

  it('is not what the same text says elsewhere', async () => {
    const picture = await avifPicture([SRGB]);
    const planted = [
      heifFile({ items: [picture], tails: { pitm: PLANTED } }),
      heifFile({ items: [{ ...picture, data: Buffer.concat([picture.data, PLANTED]) }] }),
      Buffer.concat([heifFile({ items: [picture] }), boxOf('free', PLANTED)]),
    ];
    for (const file of planted) expect(await namedProfile(file)).toBe(undefined);
    const named = await avifPicture([P3]);
    const misled = Buffer.from(PLANTED);
    misled.writeUInt16BE(1, 8);
    const file = heifFile({ items: [named], tails: { pitm: misled } });
    expect(await namedProfile(file)).toBeDefined();
  });

  it('is not that of another picture', async () => {
    const items = [await avifPicture([SRGB]), await avifPicture([P3])];
    expect(await namedProfile(heifFile({ items: items.toReversed() }))).toBeDefined();
    expect(await namedProfile(heifFile({ items }))).toBe(undefined);
  });

  it('is that of the tiles when the picture is put together from such', async () => {
    const tile = await avifPicture([P3]);
    const size = fullBoxOf('ispe', 0, 0, uint(4, 128), uint(4, 64));
    const grid = { type: 'grid', data: gridOf(1, 2, 128, 64), properties: [size] };
    const references = [reference('dimg', 1, 2, 3)];
    const file = heifFile({ items: [grid, tile, { ...tile }], references });
    expect(await namedProfile(file)).toBeDefined();
    const named = { ...grid, properties: [size, SRGB] };
    const other = heifFile({ items: [named, tile, { ...tile }], references });
    expect(await namedProfile(other)).toBe(undefined);
  });

  it('is given as a profile of RGB', async () => {
    const profile = await namedProfile(heifFile({ items: [await avifPicture([P3])] }));
    const picture = await drawing().withIccProfile('p3').png().toBuffer();
    expect(profile).toEqual((await sharp(picture).metadata()).icc);
  });

  async function isP3(colours: Buffer[]): Promise<boolean> {
    const picture = await avifPicture(colours);
    return (await namedProfile(heifFile({ items: [picture] }))) !== undefined;
  }

  /** @param colours boxes `colr` instead of the picture's own */
  async function avifPicture(colours: Buffer[]) {
    const picture = pictureOf(await drawing({ width: 64, height: 64 }).avif().toBuffer());
    const others = picture.properties.filter((property) => !property.includes('colr'));
    return { ...picture, properties: [...others, ...colours] };
  }
});
