import { describe, expect, it } from '@jest/globals';
import { readEnv } from '../../core/env.js';
import { ImageModels } from './image-models.js';
import { modelCapability } from './model-driver.js';

const VARIABLES = {
  DATABASE_URL: 'postgresql://app@localhost/atelier',
  APP_SECRET: 'q8Zt2Vn6Lx4Rb9Kd1Ws7Yf3Hj5Mc0Pg-A',
  JWT_SECRET: 'Tz7Bw1Qk9Xe5Ru3Yn8Gc6Lm2Hd4Vs0Jf-B',
};

describe('the model that pictures are asked of', () => {
  it.each([
    [{}, 'local', 'local-painter-1', true],
    [{ GEMINI_API_KEY: 'k' }, 'gemini', 'gemini-nano-banana-2.1', false],
    [{ GEMINI_API_KEY: 'k', GEMINI_IMAGE_MODEL: 'new-1' }, 'gemini', 'new-1', false],
    [{ NODE_ENV: 'production', ALLOW_SANDBOX: 'true' }, 'local', 'local-painter-1', true],
    [{ NODE_ENV: 'production', GEMINI_API_KEY: 'k' }, 'gemini', 'gemini-nano-banana-2.1', false],
  ])('with %j is %s', (variables, driver, name, embedded) => {
    const env = readEnv({ ...VARIABLES, ...variables });
    const models = new ImageModels(env);
    expect(models.isConfigured).toBe(true);
    const { digitalSourceType, ...current } = models.current();
    expect(current).toMatchObject({ driver, name });
    expect(digitalSourceType === null).toBe(driver === 'local');
    expect(modelCapability(env)).toEqual({ part: 'picture-model', driver, embedded });
  });

  it('is none in production that nobody has set up', () => {
    const env = readEnv({ ...VARIABLES, NODE_ENV: 'production' });
    const models = new ImageModels(env);
    expect(models.isConfigured).toBe(false);
    expect(() => models.current()).toThrow(
      expect.objectContaining({ code: 'generation-not-configured', status: 503 }),
    );
    expect(modelCapability(env)).toMatchObject({ driver: 'not-configured', embedded: false });
  });
});
