import { profileIn } from './icc-profile.js';
import { jpegSegment, MARKER, SEGMENT_HEADER_BYTES } from './jpeg.js';

/** ICC.1:2022, annex B.4: this, the number of the part, and how many there are. */
const PREFIX = Buffer.from('ICC_PROFILE\0', 'latin1');
const PART_AT = PREFIX.length;
const COUNT_AT = PREFIX.length + 1;
const HEADER_BYTES = PREFIX.length + 2;
/** What a segment holds beside its own length. */
const MAX_PART_BYTES = 0xffff - 2 - HEADER_BYTES;

/** The ICC profile of a JPEG, which lies in one segment or several. */
export class JpegProfile {
  private readonly parts: Buffer[] = [];

  /** Looks at a segment; it may be any. */
  see(segment: Buffer): void {
    const content = segment.subarray(SEGMENT_HEADER_BYTES);
    const isPart =
      segment[1] === MARKER.APP2 &&
      content.length > HEADER_BYTES &&
      content.subarray(0, PREFIX.length).equals(PREFIX);
    if (isPart) this.parts.push(content);
  }

  /** The same profile in new segments; none when it is not whole: decoders pass over it, too. */
  segments(): Buffer[] {
    const sorted = this.parts.toSorted((one, other) => (one[PART_AT] ?? 0) - (other[PART_AT] ?? 0));
    const isWhole = sorted.every(
      (part, at) => part[PART_AT] === at + 1 && part[COUNT_AT] === sorted.length,
    );
    const profile = profileIn(Buffer.concat(sorted.map((part) => part.subarray(HEADER_BYTES))));
    if (!isWhole || !profile) return [];
    const count = Math.ceil(profile.length / MAX_PART_BYTES);
    return Array.from({ length: count }, (_, at) => {
      const data = profile.subarray(at * MAX_PART_BYTES, (at + 1) * MAX_PART_BYTES);
      return jpegSegment(MARKER.APP2, PREFIX, Buffer.from([at + 1, count]), data);
    });
  }
}
