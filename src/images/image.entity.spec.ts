import { describe, expect, it } from '@jest/globals';
import { TRAINED_ALGORITHMIC_MEDIA } from './generated/provenance.js';
import { Image } from './image.entity.js';

/** An image whose files have been made so often. */
function makeImage(version: number): Image {
  const image = Image.uploaded({
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

describe('an image that a model is to make', () => {
  const reply = {
    ...{ bytes: 12, checksum: 'c'.repeat(64), coins: 100 },
    facts: {
      ...{ format: 'png' as const, width: 3, height: 2, frames: 1 },
      ...{ orientation: 1 as const, progressive: false },
    },
    provenance: {
      ...{ model: 'm', driver: 'gemini' as const, generatedAt: '2026-11-22T00:00:00.000Z' },
      digitalSourceType: TRAINED_ALGORITHMIC_MEDIA,
    },
  };

  function want(): Image {
    return Image.wanted({
      ...{ id: 'i', userId: 'u', prompt: 'a fox', title: null, description: null },
      ...{ visibility: 'private', requestId: undefined },
    });
  }

  it('has a folder and nothing in it, and is no work of conversions', () => {
    const image = want();
    expect(image).toMatchObject({ type: 'GENERATED', status: 'PENDING', version: 0 });
    expect(image.storageKey).toMatch(/^images\/u\/\d+-i\//);
    expect([image.metadata, image.checksum, image.nextAttemptAt, image.storedBytes]).toEqual([
      ...[undefined, undefined, undefined, 0],
    ]);
  });

  it('is COMPLETED with what the model sent, and can then be made anew like any other', () => {
    const image = want();
    image.start();
    image.receive(reply);
    image.complete(made);
    expect(image).toMatchObject({ status: 'COMPLETED', coinsUsed: 100, checksum: reply.checksum });
    expect(image.metadata).toMatchObject({ format: 'png', size: 12, hasAlpha: false });
    image.revive();
    expect(image.status).toBe('PENDING');
    expect(image.nextAttemptAt).toBeDefined();
    image.start();
    expect(() => {
      image.receive(reply);
    }).toThrow('not to be generated');
  });

  it('is not COMPLETED before the model has sent anything', () => {
    const image = want();
    image.start();
    expect(() => {
      image.complete(made);
    }).toThrow('made of nothing');
  });

  it('cannot be made anew when it has failed: there is nothing to make it of', () => {
    const image = want();
    image.fail({ code: 'blocked', detail: 'x' });
    image.revive();
    expect(image).toMatchObject({ status: 'FAILED', errorCode: 'blocked' });
    expect(image.nextAttemptAt).toBeUndefined();
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
