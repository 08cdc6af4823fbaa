import { MARKER, SEGMENT_HEADER_BYTES } from './jpeg.js';

const TABLE_MARKERS: readonly number[] = [MARKER.DQT, MARKER.DHT, MARKER.DAC, MARKER.DRI];
/** How many values of each code length a Huffman table has: ITU-T T.81, section B.2.4.2. */
const HUFFMAN_LENGTHS = 16;
const QUANTIZATION_VALUES = 64;

/** A segment and the tables in it, by their kind and number; none when it makes no sense. */
interface TableSegment {
  start: number;
  end: number;
  tables: string[];
}

/** The tables that a scan is decoded with: of those that are told twice, decoders use the last. */
export class JpegTables {
  private readonly file: Buffer;
  private segments: TableSegment[] = [];

  constructor(file: Buffer) {
    this.file = file;
  }

  /** @returns whether it is a segment of tables, which waits for its scan */
  see(start: number, end: number): boolean {
    const marker = this.file[start + 1] ?? 0;
    if (!TABLE_MARKERS.includes(marker)) return false;
    const content = this.file.subarray(start + SEGMENT_HEADER_BYTES, end);
    this.segments.push({ start, end, tables: tablesOf(marker, content) });
    return true;
  }

  /** Those that the next scan needs, in their order. What no scan follows is never taken. */
  take(): TableSegment[] {
    const told = new Set<string>();
    const needed = this.segments.toReversed().filter(({ tables }) => {
      const isNew = tables.some((table) => !told.has(table));
      for (const table of tables) told.add(table);
      // What makes no sense is left for the decoder to refuse.
      return isNew || tables.length === 0;
    });
    this.segments = [];
    return needed.toReversed();
  }
}

/** ITU-T T.81, sections B.2.4.1 to B.2.4.4. */
function tablesOf(marker: number, content: Buffer): string[] {
  const tables: string[] = [];
  let at = 0;
  while (at < content.length) {
    const id = content[at] ?? 0;
    tables.push(marker === MARKER.DRI ? `${marker}` : `${marker} ${tableId(marker, id)}`);
    at += tableBytes(marker, content.subarray(at));
  }
  return at === content.length ? tables : [];
}

/** A quantization table says with its number how wide its values are. */
function tableId(marker: number, id: number): number {
  return marker === MARKER.DQT ? id & 0x0f : id;
}

function tableBytes(marker: number, table: Buffer): number {
  if (marker === MARKER.DQT) return 1 + QUANTIZATION_VALUES * ((table[0] ?? 0) >> 4 ? 2 : 1);
  if (marker !== MARKER.DHT) return 2;
  const counts = table.subarray(1, 1 + HUFFMAN_LENGTHS);
  return 1 + HUFFMAN_LENGTHS + counts.reduce((sum, count) => sum + count, 0);
}
