import { describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import type { PaintRequest } from '../image-model.js';
import { ASPECT_RATIOS, pixelsOf } from '../picture-sizes.js';
import { STYLES } from '../styles.js';
import { compose } from './composition.js';
import { LocalImageModel } from './local.image-model.js';
import { type Motif, MOTIFS, readPrompt } from './prompt-words.js';

const painter = new LocalImageModel('local-painter-1');

const REQUEST: PaintRequest = {
  prompt: 'A lighthouse on a cliff by the sea at sunset',
  aspectRatio: '4:3',
  size: '1K',
  seed: 1,
  style: null,
  sources: [],
};

/** What names a motif, where its own name does not. */
const WORDS: Partial<Record<Motif, string>> = { ribbons: 'silk', shapes: 'geometry' };

/** What scenes are looked at in, where details do not matter. */
const SMALL = { width: 300, height: 224, top: 0 };

async function paint(changes: Partial<PaintRequest> = {}): Promise<Buffer> {
  const { bytes } = await painter.paint({ ...REQUEST, ...changes }, new AbortController().signal);
  return bytes;
}

/** How different two pictures look: the mean difference of a channel, of 255, at thumbnail size. */
async function distance(one: Buffer, other: Buffer): Promise<number> {
  const [a, b] = await Promise.all(
    [one, other].map((bytes) => sharp(bytes).resize(48, 48, { fit: 'fill' }).raw().toBuffer()),
  );
  return a!.reduce((sum, value, at) => sum + Math.abs(value - b![at]!), 0) / a!.length;
}

describe('the local painter', () => {
  it('paints the same bytes for the same request, whatever it painted before', async () => {
    const source = { bytes: await paint({ prompt: 'red hills' }), mimeType: 'image/jpeg' };
    const request = { style: 'watercolour', sources: [source] } as const;
    const first = await paint(request);
    await paint({ prompt: 'something else' });
    const other = new LocalImageModel('local-painter-1');
    const { signal } = new AbortController();
    const again = await other.paint({ ...REQUEST, ...request }, signal);
    expect(again.bytes.equals(first)).toBe(true);
  });

  it('paints what no two prompts, seeds or styles have alike', async () => {
    const pictures = await Promise.all([
      paint(),
      paint({ prompt: 'A lighthouse on a cliff by the sea at night' }),
      paint({ prompt: 'A bouquet of red roses' }),
      paint({ prompt: 'Ein Haus' }),
      paint({ prompt: '一只猫' }),
      paint({ seed: 2 }),
      paint({ seed: 2_147_483_647 }),
      ...STYLES.slice(1).map((style) => paint({ style })),
    ]);
    for (const [at, one] of pictures.entries()) {
      for (const other of pictures.slice(at + 1)) {
        expect(await distance(one, other)).toBeGreaterThan(6);
      }
    }
  });

  it.each(ASPECT_RATIOS)('paints %s to the pixel', async (aspectRatio) => {
    const size = aspectRatio === '9:16' ? '2K' : '1K';
    const metadata = await sharp(await paint({ aspectRatio, size })).metadata();
    expect(metadata).toMatchObject({ ...pixelsOf(aspectRatio, size), format: 'jpeg', channels: 3 });
  });

  it.each(['natural', 'watercolour'] as const)(
    'paints at 4K what it paints at 1K: %s',
    async (style) => {
      const large = await paint({ style, size: '4K', aspectRatio: '21:9' });
      expect(await sharp(large).metadata()).toMatchObject({ width: 6_336, height: 2_688 });
      expect(await distance(large, await paint({ style, aspectRatio: '21:9' }))).toBeLessThan(3);
    },
  );

  it.each(STYLES)('paints strips of which nothing shows: %s', async (style) => {
    const size = pixelsOf('4:3', '1K');
    const svgOf = compose({ ...REQUEST, style, size, colours: [] }).finished();
    const [painted, whole] = await Promise.all(
      [await paint({ style }), svgOf({ ...size, top: 0 })].map((picture) =>
        sharp(picture).removeAlpha().raw().toBuffer(),
      ),
    );
    /** The mean difference of a channel between two heights: what the grain makes. */
    const differenceOf = (from: number, to: number) => {
      const [first, last] = [from * size.width * 3, to * size.width * 3];
      const row = painted!.subarray(first, last);
      return (
        row.reduce((sum, value, at) => sum + Math.abs(value - whole![first + at]!), 0) / row.length
      );
    };
    const everywhere = differenceOf(0, size.height);
    expect(everywhere).toBeLessThan(8);
    for (const seam of [256, 512, 768]) {
      expect(differenceOf(seam - 2, seam + 2)).toBeLessThan(everywhere * 1.5 + 1);
    }
  });

  it.each(MOTIFS)('paints %s in every manner, with much to see in it', async (motif) => {
    const prompt = WORDS[motif] ?? motif;
    expect(readPrompt(prompt).motif).toBe(motif);
    for (const style of STYLES) {
      const size = pixelsOf('4:3', '1K');
      const svg = () => compose({ prompt, style, seed: 5, size, colours: [] }).finished()(SMALL);
      expect(svg().equals(svg())).toBe(true);
      expect(svg().toString()).not.toMatch(/NaN|Infinity|undefined/);
      // Without the grain, which would count for much.
      const { entropy, channels } = await sharp(svg()).stats();
      expect(entropy).toBeGreaterThan(2.5);
      expect(Math.max(...channels.map(({ stdev }) => stdev))).toBeGreaterThan(18);
    }
  });

  it.each([
    ['markup', '</svg><script>alert(1)</script>'],
    ['entities', '&amp; &lt; " \' ]]> <!-- --> &xxe;'],
    ['references', 'url(#g0) file:///etc/passwd'],
    ['emoji', '👩‍🎨🌈 🏔️'],
    ['letters from right to left', 'שלום עולם \u202Eabc'],
    ['what is no character', '\u{10FFFF}\uFFFE\uD800'],
    ['a long word', 'a'.repeat(4_000)],
    ['many signs', '山'.repeat(4_000)],
    ['names of properties', 'toString constructor __proto__ hasOwnProperty'],
  ])('paints whatever it is asked for: %s', async (_name, prompt) => {
    const { width, height } = await sharp(await paint({ prompt })).metadata();
    expect({ width, height }).toEqual(pixelsOf('4:3', '1K'));
  });

  it('takes the colours that a prompt names', async () => {
    const meanOf = async (prompt: string) =>
      (await sharp(await paint({ prompt })).stats()).channels.map(({ mean }) => mean);
    const [red = 0, , blue = 0] = await meanOf('crimson hills under an orange sky');
    expect(red).toBeGreaterThan(blue + 30);
    const [red2 = 0, , blue2 = 0] = await meanOf('blue hills under a blue sky');
    expect(blue2).toBeGreaterThan(red2 + 15);
  });

  it('hangs source pictures before the scene, and paints it in their colours', async () => {
    const plain = (background: string) =>
      sharp({ create: { width: 300, height: 200, channels: 3, background } })
        .webp()
        .toBuffer();
    const [green, purple] = await Promise.all([plain('#1a9c46'), plain('#6a1b9a')]);
    const of = (bytes: Buffer) => paint({ sources: [{ bytes, mimeType: 'image/webp' }] });
    const [without, withGreen, withPurple] = [await paint(), await of(green), await of(purple)];
    expect(await distance(without, withGreen)).toBeGreaterThan(12);
    expect(await distance(withGreen, withPurple)).toBeGreaterThan(20);
    const { width, height } = pixelsOf('4:3', '1K');
    const middle = { left: width / 2 - 5, top: height / 2 - 5, width: 10, height: 10 };
    const [r, g, b] = await sharp(withGreen).extract(middle).raw().toBuffer();
    expect(
      [Math.abs(r! - 0x1a), Math.abs(g! - 0x9c), Math.abs(b! - 0x46)].every((by) => by < 12),
    ).toBe(true);
  });

  it('stops when nobody waits any more', async () => {
    const wanted = new AbortController();
    const reason = new Error('cancelled');
    const paintings = [1, 2, 3].map((seed) => painter.paint({ ...REQUEST, seed }, wanted.signal));
    wanted.abort(reason);
    for (const painting of await Promise.allSettled(paintings)) {
      expect(painting).toEqual({ status: 'rejected', reason });
    }
    expect((await paint()).length).toBeGreaterThan(0);
  });
});
