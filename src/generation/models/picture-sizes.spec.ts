import { describe, expect, it } from '@jest/globals';
import { ASPECT_RATIOS, PICTURE_SIZES, pixelsOf } from './picture-sizes.js';

describe('the pixels of a picture', () => {
  it('have the ratio that was asked for, but for what Gemini rounds', () => {
    for (const ratio of ASPECT_RATIOS) {
      const [across = 0, down = 0] = ratio.split(':').map(Number);
      for (const size of PICTURE_SIZES) {
        const { width, height } = pixelsOf(ratio, size);
        expect(Math.abs(width / height / (across / down) - 1)).toBeLessThan(0.025);
      }
    }
  });

  it('are the same upright and lying, and never too many to be converted', () => {
    for (const ratio of ASPECT_RATIOS) {
      const { width, height } = pixelsOf(ratio, '4K');
      expect(width * height).toBeLessThan(50_000_000);
      const turned = ASPECT_RATIOS.find((each) => each === ratio.split(':').reverse().join(':'));
      if (turned) expect(pixelsOf(turned, '4K')).toEqual({ width: height, height: width });
    }
  });
});
