import type { ModelDriver } from '../../images/generated/provenance.js';
import type { AspectRatio, PictureSize } from './picture-sizes.js';
import type { Style } from './styles.js';

/** What paints one picture at a time. */
export interface ImageModel {
  readonly driver: ModelDriver;
  /** As clients see it, such as `gemini-nano-banana-2.1`. */
  readonly name: string;
  /** What its pictures are by IPTC's vocabulary, for XMP; null for what no trained model made. */
  readonly digitalSourceType: string | null;

  /**
   * @param signal ends it; then it throws the signal's reason
   * @throws ModelRefusal when asking again would not help
   * @throws ModelUnavailable when it may help later
   */
  paint(request: PaintRequest, signal: AbortSignal): Promise<Painting>;
}

export interface PaintRequest {
  readonly prompt: string;
  readonly aspectRatio: AspectRatio;
  readonly size: PictureSize;
  /** From 0 to 2,147,483,647. The same one makes the same picture, where a model is capable of it. */
  readonly seed: number;
  readonly style: Style | null;
  /** What the picture is made from besides the prompt. */
  readonly sources: readonly ReferencePicture[];
}

/** A picture that the product itself has encoded, such as a variant: it is read without suspicion. */
export interface ReferencePicture {
  readonly bytes: Buffer;
  readonly mimeType: string;
}

/** What an answer took, of a model that tells. */
export interface Bill {
  readonly usage: ModelUsage | null;
  /** In millionths of whatever currency the operator has set prices in; null without prices. */
  readonly costMicros: number | null;
}

/** In tokens. */
export interface ModelUsage {
  /** The prompt and the pictures that came with it. */
  readonly input: number;
  /** What was written and thought. */
  readonly text: number;
  /** What was painted. */
  readonly picture: number;
}

/** What came of it. Whether the bytes are a picture is for whoever decodes them to find out. */
export interface Painting extends Bill {
  readonly bytes: Buffer;
}

/** What nobody charges for. */
export const NO_BILL: Bill = { usage: null, costMicros: null };
