import { createHash } from 'node:crypto';
import type { PictureFacts, PictureLimits } from '../containers/container.js';
import { ContainerWalk } from '../containers/walk.js';

/** What is known of a file once its last byte has come. */
export interface InspectedFile {
  facts: PictureFacts;
  bytes: number;
  /** SHA-256 in hex. */
  checksum: string;
}

/** Looks at a file while its bytes go by: counts and hashes them, and walks their structure. */
export class FileInspection {
  private readonly hash = createHash('sha256');
  private readonly walk: ContainerWalk;
  private seen = 0;

  constructor(limits: PictureLimits) {
    this.walk = new ContainerWalk(limits);
  }

  /** How many bytes have come. */
  get bytes(): number {
    return this.seen;
  }

  /** Takes the next bytes, which are not kept. @throws ContainerRefused */
  see(chunk: Buffer): void {
    this.seen += chunk.length;
    this.hash.update(chunk);
    this.walk.write(chunk);
  }

  /** Says that the file is complete. @throws ContainerRefused */
  end(): InspectedFile {
    const facts = this.walk.end();
    return { facts, bytes: this.seen, checksum: this.hash.digest('hex') };
  }
}
