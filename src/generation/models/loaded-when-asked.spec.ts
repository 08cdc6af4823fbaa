import { expect, it } from '@jest/globals';
import { type ImageModel, NO_BILL, type PaintRequest } from './image-model.js';
import { LoadedWhenAsked } from './loaded-when-asked.js';

const request: PaintRequest = {
  ...{ prompt: 'a fox', aspectRatio: '1:1', size: '1K', seed: 1, style: null, sources: [] },
};
const { signal } = new AbortController();
const bytes = Buffer.from('a picture');

/** @param load what comes of each time that it is loaded */
function modelWith(...load: (() => Promise<ImageModel>)[]) {
  const model: ImageModel = new LoadedWhenAsked('local', 'm', null, () => load.shift()!());
  return model;
}

const painter = async (): Promise<ImageModel> => ({
  ...{ driver: 'local', name: 'm', digitalSourceType: null },
  paint: async () => ({ bytes, ...NO_BILL }),
});
const failing = () => Promise.reject(new Error('no memory'));

it('a model is loaded once, however many pictures are asked of it', async () => {
  const model = modelWith(painter);
  const pictures = await Promise.all([model.paint(request, signal), model.paint(request, signal)]);
  expect(pictures.map((picture) => picture.bytes)).toEqual([bytes, bytes]);
  expect((await model.paint(request, signal)).bytes).toBe(bytes);
});

it('a model that could not be loaded is loaded for the next picture', async () => {
  const model = modelWith(failing, failing, painter);
  await expect(model.paint(request, signal)).rejects.toThrow('no memory');
  const both = await Promise.allSettled([
    model.paint(request, signal),
    model.paint(request, signal),
  ]);
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect((await model.paint(request, signal)).bytes).toBe(bytes);
});
