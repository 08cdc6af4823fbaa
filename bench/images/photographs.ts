import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import sharp from 'sharp';
import { ApiClient, type ImageAnswer } from '../api-client.ts';
import type { Product } from '../product.ts';
import { type Table, yesOrNo } from '../report.ts';
import { holdsOrientationOnly, positionBytes } from './exif.ts';

const EXTENSIONS = ['.jpg', '.jpeg', '.png', '.webp', '.gif', '.avif', '.heic', '.heif'];
const VARIANTS = ['large', 'medium', 'thumbnail'];
/** How XMP names a position. */
const XMP_POSITIONS = ['GPSLatitude', 'GPSLongitude'];
/** Side of the tiny pictures by which the upload and the served one are compared, in pixels. */
const COMPARED_SIDE = 16;
/** Of 255, in the mean: quality 80 and other colour profiles stay far below it, a turn far above. */
const GREATEST_DIFFERENCE = 12;

/** For a row that says only why it is empty. */
const EMPTY_CELLS = ['', '', '', '', ''];

interface Served {
  name: string;
  status: number;
  bytes: Buffer;
}

interface Source {
  bytes: Buffer;
  width: number;
  height: number;
  positions: Buffer[];
}

/** Every photograph of a folder becomes an upright picture, and nothing served tells where it was taken. */
export async function measurePhotographs(
  product: Product,
  folder: string | undefined,
): Promise<Table> {
  const table = {
    title: 'Photographs of `PHOTOS_DIR`',
    columns: [
      'file',
      'status',
      'upright size',
      'upload, ready after',
      'variants',
      'upright',
      'clean',
    ],
  };
  if (folder === undefined || !existsSync(folder)) {
    const reason = folder === undefined ? 'is not set' : 'names no folder';
    return { ...table, note: `Not measured: \`PHOTOS_DIR\` ${reason}.`, rows: [] };
  }
  const client = await ApiClient.register(product.url);
  const rows: string[][] = [];
  for (const name of readdirSync(folder).sort()) {
    if (!EXTENSIONS.includes(extname(name).toLowerCase())) continue;
    // One file that nobody can read must not take the figures of the others with it.
    const cells = await uploadAndLook(client, join(folder, name)).catch((error: unknown) => [
      `**${String(error).split('\n')[0] ?? ''}**`,
      ...EMPTY_CELLS,
    ]);
    rows.push([name, ...cells]);
  }
  client.close();
  return {
    ...table,
    note: [
      `${rows.length} files, one after the other.`,
      '`upright`: the answer, the original that is served and the large variant have the upright proportions, and the thumbnail looks like the upload, upright, where sharp can read that.',
      '`clean`: no file that is served, the variants and `size=original`, has XMP, IPTC or EXIF beyond the orientation, or holds the position of the upload byte by byte.',
    ].join(' '),
    rows,
  };
}

async function uploadAndLook(client: ApiClient, path: string): Promise<string[]> {
  const source = await readSource(path);
  const startedAt = performance.now();
  const answer = await client.upload([source.bytes], 30);
  const time = `${((performance.now() - startedAt) / 1_000).toFixed(2)} s`;
  const upload = `${Math.ceil(source.bytes.byteLength / 1024)} KB, ${time}`;
  const body = JSON.parse(answer.body.toString()) as ImageAnswer & { type?: string };
  const size = `${source.width} × ${source.height}`;
  if (answer.status !== 201 || body.status !== 'COMPLETED') {
    const reason = body.error?.code ?? body.type?.split('/').at(-1) ?? body.status;
    return [`**${answer.status} ${reason}**`, size, upload, '', '', ''];
  }
  const served = await fetchAll(client, body);
  const sizes = VARIANTS.map((name) => `${Math.ceil((body.variants[name]?.bytes ?? 0) / 1024)} KB`);
  const turned = await faultsOfSize(source, body, served);
  const leaks = await leaksIn(source, served);
  const status = `${answer.status} ${body.status}`;
  return [status, size, upload, sizes.join(', '), verdict(turned), verdict(leaks)];
}

async function readSource(path: string): Promise<Source> {
  const bytes = readFileSync(path);
  const { autoOrient, exif } = await sharp(bytes).metadata();
  return { bytes, ...autoOrient, positions: exif ? positionBytes(exif) : [] };
}

async function fetchAll(client: ApiClient, image: ImageAnswer): Promise<Served[]> {
  const addresses: [name: string, url: string][] = [
    ...VARIANTS.map((name): [string, string] => [name, image.variants[name]?.url ?? '']),
    ...[...VARIANTS, 'original'].map((size): [string, string] => [
      `file?size=${size}`,
      `/api/v1/images/${image.id}/file?size=${size}`,
    ]),
  ];
  return Promise.all(
    addresses.map(async ([name, url]) => {
      const { status, body } = await client.get(url);
      return { name, status, bytes: body };
    }),
  );
}

async function faultsOfSize(
  { bytes, width, height }: Source,
  { dimensions }: ImageAnswer,
  served: readonly Served[],
): Promise<string[]> {
  const faults: string[] = [];
  if (dimensions.width !== width || dimensions.height !== height) {
    faults.push(`the answer says ${dimensions.width ?? '?'} × ${dimensions.height ?? '?'}`);
  }
  for (const { name, status, bytes: file } of served) {
    if (status !== 200) continue; // told by leaksIn()
    const { autoOrient } = await sharp(file).metadata();
    const scale = Math.max(autoOrient.width, autoOrient.height) / Math.max(width, height);
    const isWhole = !name.endsWith('original') || scale === 1;
    const isRight =
      Math.abs(width * scale - autoOrient.width) <= 1 &&
      Math.abs(height * scale - autoOrient.height) <= 1;
    if (!isRight || !isWhole) faults.push(`${name}: ${autoOrient.width} × ${autoOrient.height}`);
  }
  const thumbnail = served.find(({ name }) => name === 'thumbnail');
  const difference = thumbnail && (await differenceOf(bytes, thumbnail.bytes));
  if (difference !== undefined && difference > GREATEST_DIFFERENCE) {
    faults.push(`the thumbnail differs by ${difference.toFixed(0)}`);
  }
  return faults;
}

/** @returns the mean difference of the pixels; undefined when sharp cannot read one of the two */
async function differenceOf(upload: Buffer, thumbnail: Buffer): Promise<number | undefined> {
  const tiny = (file: Buffer) =>
    sharp(file, { autoOrient: true })
      .flatten({ background: 'white' })
      .resize(COMPARED_SIDE, COMPARED_SIDE, { fit: 'fill' })
      .toColourspace('srgb')
      .raw()
      .toBuffer();
  try {
    const [a, b] = [await tiny(upload), await tiny(thumbnail)];
    const sum = a.reduce((total, value, at) => total + Math.abs(value - (b[at] ?? 0)), 0);
    return sum / a.length;
  } catch {
    return undefined;
  }
}

async function leaksIn({ positions }: Source, served: readonly Served[]): Promise<string[]> {
  const leaks: string[] = [];
  for (const { name, status, bytes } of served) {
    if (status !== 200) {
      leaks.push(`${name} is answered with ${status}`);
      continue;
    }
    const { exif, xmp, iptc } = await sharp(bytes).metadata();
    if (exif && !holdsOrientationOnly(exif)) leaks.push(`${name} has EXIF`);
    if (xmp) leaks.push(`${name} has XMP`);
    if (iptc) leaks.push(`${name} has IPTC`);
    const traces = [...positions, ...XMP_POSITIONS.map((word) => Buffer.from(word))];
    if (traces.some((trace) => bytes.includes(trace))) leaks.push(`${name} holds a position`);
  }
  return leaks;
}

function verdict(faults: readonly string[]): string {
  return faults.length === 0 ? 'yes' : `${yesOrNo(false)}: ${faults.join('; ')}`;
}
