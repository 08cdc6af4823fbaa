import { describe, expect, it } from '@jest/globals';
import { Image } from './image.entity.js';

/** An image whose files have been made so often. */
function makeImage(version: number): Image {
  const image = new Image({
    ...{ id: 'i', userId: 'u', storageKey: 'images/u/1-i/upload.jpg', bytes: 1, checksum: '' },
    ...{ title: null, description: null, visibility: 'private' as const, requestId: undefined },
    facts: { format: 'jpeg', width: 1, height: 1, frames: 1, orientation: 1, progressive: false },
  });
  image.version = version;
  image.start();
  return image;
}

const made = {
  ...{ version: 2, storageKey: 'images/u/1-i/original-2.jpg', storedBytes: 4 },
  ...{ width: 1, height: 1, frames: 1, hasAlpha: false, placeholder: '', dominantColor: '#ffffff' },
};

describe('an image whose conversion fails', () => {
  it.each([
    ['undecodable', 0, 'FAILED'],
    ['undecodable', 1, 'COMPLETED'],
    ['file-missing', 0, 'FAILED'],
    ['file-missing', 1, 'FAILED'],
  ])('with %s after %i versions is %s', (code, version, status) => {
    const image = makeImage(version);
    image.fail({ code, detail: 'x' });
    expect(image).toMatchObject({ status, errorCode: code });
  });
});

describe('an attempt to make an image', () => {
  it('has a version that no other has had, also when the ones before it failed', () => {
    const image = makeImage(3);
    const versions = [image.lastVersion];
    for (let attempt = 0; attempt < 3; attempt += 1) {
      image.start();
      versions.push(image.lastVersion);
    }
    expect(versions).toEqual([4, 5, 6, 7]);
  });
});

describe('an image whose files are lost', () => {
  it('is FAILED, and can be made anew when its file is back', () => {
    const image = makeImage(1);
    image.fail({ code: 'undecodable', detail: 'x' });
    image.lose('gone');
    expect(image).toMatchObject({ status: 'FAILED', errorCode: 'file-missing' });
    image.revive();
    expect(image).toMatchObject({ status: 'PENDING', version: 1 });
    image.start();
    image.complete(made);
    expect(image).toMatchObject({ status: 'COMPLETED', version: 2, errorCode: null });
  });

  it.each(['undecodable', 'internal-error', 'file-missing'])(
    'stays FAILED when they cannot be made anew: %s',
    (code) => {
      const image = makeImage(1);
      image.complete(made);
      image.lose('gone');
      image.revive();
      image.start();
      image.fail({ code, detail: 'x' });
      expect(image).toMatchObject({
        ...{ status: 'FAILED', errorCode: 'file-missing', errorDetail: 'gone' },
      });
    },
  );

  it('is COMPLETED again when they are back', () => {
    const image = makeImage(1);
    image.fail({ code: 'file-missing', detail: 'x' });
    image.restore();
    expect(image).toMatchObject({ status: 'COMPLETED', errorCode: null, errorDetail: null });
  });

  it('was complete before', () => {
    expect(() => {
      makeImage(0).lose('gone');
    }).toThrow('PROCESSING');
  });
});
