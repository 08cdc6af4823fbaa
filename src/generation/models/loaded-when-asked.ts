import type { ImageModel, Painting, PaintRequest } from './image-model.js';

/** A model by name; its code comes with the first picture. The API, which asks for none, has none. */
export class LoadedWhenAsked implements ImageModel {
  private loaded: Promise<ImageModel> | undefined;

  constructor(
    readonly driver: ImageModel['driver'],
    readonly name: string,
    readonly digitalSourceType: string | null,
    private readonly load: () => Promise<ImageModel>,
  ) {}

  async paint(request: PaintRequest, signal: AbortSignal): Promise<Painting> {
    signal.throwIfAborted();
    this.loaded ??= this.loadOrForget();
    const model = await this.loaded;
    return model.paint(request, signal);
  }

  /** What failed once, for want of memory or files, is tried again with the next picture. */
  private async loadOrForget(): Promise<ImageModel> {
    try {
      return await this.load();
    } catch (error) {
      this.loaded = undefined;
      throw error;
    }
  }
}
