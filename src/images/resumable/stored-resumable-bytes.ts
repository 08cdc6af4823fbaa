import { once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import type { Storage } from '../../storage/storage.js';
import { UPLOADS_FOLDER } from '../../storage/storage-key.js';
import { GrowingBytes, type Hold, ResumableBytes } from './resumable-bytes.js';

/** Where uploads grow in the store: beside the pictures, not among them. */
const FOLDER = `${UPLOADS_FOLDER}/`;
/**
 * How many bytes of a request come together before they are stored; a process that is killed loses
 * no more of them. Less than what a store takes in one request.
 */
const PIECE_BYTES = 4 * 1024 * 1024;
const PIECE_KEY = /^uploads\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/(\d{12})\.part$/;

/** Some bytes of an upload. */
interface Piece {
  key: string;
  /** Where in the upload its first byte belongs. */
  start: number;
  bytes: number;
}

/**
 * The bytes of unfinished uploads as objects of the store, `uploads/{id}/{start}.part`, so that any
 * machine can go on with what another one has begun.
 *
 * Objects are whole or absent, so that what is listed is what has come. Of two processes that both
 * believe to hold the lease, the slower may put a shorter piece in the place of a longer one: then
 * there is a gap, the offset falls back to it, and the client sends those bytes again.
 */
export class StoredResumableBytes extends ResumableBytes {
  constructor(private readonly storage: Storage) {
    super();
  }

  override async offset(id: string): Promise<number> {
    return endOf(await this.pieces(id));
  }

  override async open(id: string, hold: Hold): Promise<GrowingBytes> {
    return new GrowingPieces(this.storage, id, await this.offset(id), hold);
  }

  override read(id: string): Readable {
    return Readable.from(this.contentOf(id));
  }

  override async remove(id: string): Promise<void> {
    for (const { key } of await this.pieces(id)) await this.storage.delete(key);
  }

  override async ids(): Promise<string[]> {
    const ids = new Set<string>();
    for await (const { key } of this.storage.listFolder(FOLDER)) {
      const [, id] = PIECE_KEY.exec(key) ?? [];
      if (id !== undefined) ids.add(id);
    }
    return [...ids];
  }

  /** In the order of their starts, which is that of their names. */
  private async pieces(id: string): Promise<Piece[]> {
    const pieces: Piece[] = [];
    for await (const { key, bytes } of this.storage.listFolder(`${FOLDER}${id}/`)) {
      const [, , start] = PIECE_KEY.exec(key) ?? [];
      if (start !== undefined) pieces.push({ key, start: Number(start), bytes });
    }
    return pieces;
  }

  private async *contentOf(id: string): AsyncGenerator<Buffer> {
    let position = 0;
    for (const piece of joined(await this.pieces(id))) {
      const range = { start: position - piece.start };
      const { stream } = await this.storage.get(piece.key, { range });
      yield* stream as AsyncIterable<Buffer>;
      position = piece.start + piece.bytes;
    }
  }
}

/** A piece that grows, and is stored when its stream ends. */
interface GrowingPiece {
  stream: PassThrough;
  stored: Promise<unknown>;
  /** Lets go of it. */
  drop: () => Promise<void>;
}

/** Stores a few megabytes at a time as an object each. How those are held meanwhile is the store's. */
class GrowingPieces extends GrowingBytes {
  private piece: GrowingPiece | undefined;
  /** How many of the bytes are stored. */
  private stored: number;

  constructor(
    private readonly storage: Storage,
    private readonly id: string,
    size: number,
    hold: Hold,
  ) {
    super(size, hold);
    this.stored = size;
  }

  protected override async add(chunk: Buffer): Promise<void> {
    const { stream, stored } = (this.piece ??= this.begin());
    this.size += chunk.length;
    // A store that fails destroys the stream, which then has nothing to say any more.
    if (!stream.write(chunk)) await Promise.race([once(stream, 'drain'), stored]);
    if (this.size - this.stored >= PIECE_BYTES) await this.flush();
  }

  override async cutTo(size: number): Promise<void> {
    await this.close();
    this.size = this.stored = size;
    for await (const { key } of this.storage.listFolder(`${FOLDER}${this.id}/`)) {
      const [, , start] = PIECE_KEY.exec(key) ?? [];
      if (Number(start) >= size) await this.storage.delete(key);
    }
  }

  override async flush(): Promise<void> {
    if (!this.piece) return;
    await this.hold.keep();
    const { stream, stored } = this.piece;
    stream.end();
    await this.hold.during(() => stored);
    this.piece = undefined;
    this.stored = this.size;
  }

  override async close(): Promise<void> {
    await this.piece?.drop();
    this.piece = undefined;
  }

  private begin(): GrowingPiece {
    const key = `${FOLDER}${this.id}/${String(this.stored).padStart(12, '0')}.part`;
    const stream = new PassThrough();
    const controller = new AbortController();
    const stored = this.storage.upload(key, stream, { signal: controller.signal });
    // It may fail while nobody waits for it.
    const settled = stored.then(ignore, ignore);
    const drop = (): Promise<void> => {
      controller.abort();
      return settled;
    };
    return { stream, stored, drop };
  }
}

function ignore(): void {
  // Whoever waits for the piece hears of it.
}

/** Those that make up the upload from its first byte on, without a gap; each adds something. */
function joined(pieces: Piece[]): Piece[] {
  let end = 0;
  const used: Piece[] = [];
  for (const piece of pieces) {
    if (piece.start > end) break;
    if (piece.start + piece.bytes <= end) continue;
    used.push(piece);
    end = piece.start + piece.bytes;
  }
  return used;
}

function endOf(pieces: Piece[]): number {
  const last = joined(pieces).at(-1);
  return last ? last.start + last.bytes : 0;
}
