import { type GenerateContentResponse, GoogleGenAI, type Part } from '@google/genai';
import { Logger } from '@nestjs/common';
import { TRAINED_ALGORITHMIC_MEDIA } from '../../../images/generated/provenance.js';
import type { ImageModel, Painting, PaintRequest } from '../image-model.js';
import { STYLE_WORDS } from '../styles.js';
import { readPainting } from './gemini-answer.js';
import { faultOf } from './gemini-faults.js';
import type { GeminiSettings } from './gemini-settings.js';
import { type Fetch, ReadingTurns } from './reading-turns.js';

/** Pictures made by a model at Google, each by one request. Asking again is for the caller to decide. */
export class GeminiImageModel implements ImageModel {
  readonly driver = 'gemini';
  readonly name: string;
  readonly digitalSourceType = TRAINED_ALGORITHMIC_MEDIA;
  private readonly logger = new Logger('Gemini');
  private readonly client: GoogleGenAI;
  private readonly reading = new ReadingTurns();

  constructor(private readonly settings: GeminiSettings) {
    const { apiKey, model, baseUrl, timeoutMs } = settings;
    this.name = model;
    this.client = new GoogleGenAI({
      apiKey,
      // Else variables of the SDK's own would decide.
      vertexai: false,
      httpOptions: { baseUrl, timeout: timeoutMs },
    });
  }

  async paint(request: PaintRequest, signal: AbortSignal): Promise<Painting> {
    return this.reading.during(async (fetch) =>
      readPainting(await this.ask(request, fetch, signal), this.settings.prices),
    );
  }

  private async ask(
    request: PaintRequest,
    fetch: Fetch,
    signal: AbortSignal,
  ): Promise<GenerateContentResponse> {
    signal.throwIfAborted();
    try {
      return await this.client.models.generateContent({
        model: this.name,
        contents: [{ role: 'user', parts: partsOf(request) }],
        config: {
          responseModalities: ['IMAGE'],
          imageConfig: { aspectRatio: request.aspectRatio, imageSize: request.size },
          seed: request.seed,
          httpOptions: { fetch },
          abortSignal: signal,
        },
      });
    } catch (error) {
      signal.throwIfAborted();
      throw this.told(error);
    }
  }

  /** What the operator alone can mend is said at once: no attempt will get any further. */
  private told(thrown: unknown): Error {
    const { error, alarm } = faultOf(thrown);
    if (alarm !== undefined) {
      this.logger.error({
        err: error,
        answer: alarm,
        model: this.name,
        msg: 'Gemini makes no pictures: look at GEMINI_API_KEY, GEMINI_IMAGE_MODEL and the account at Google',
      });
    }
    return error;
  }
}

/** The pictures come first, as Google advises: what is said of them follows. */
function partsOf({ prompt, style, sources }: PaintRequest): Part[] {
  const text = style === null ? prompt : `${prompt}\n\n${STYLE_WORDS[style]}`;
  return [
    ...sources.map(({ bytes, mimeType }) => ({
      inlineData: { data: bytes.toString('base64'), mimeType },
    })),
    { text },
  ];
}
