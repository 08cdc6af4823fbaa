import { describe, expect, it } from '@jest/globals';
import { HelperProcess } from '../bench/helper-process.js';

describe('a process that helps a test or the bench', () => {
  it('is an error at once when it dies before it says that it is ready', async () => {
    const starting = HelperProcess.ready(new URL('./unstartable.child.ts', import.meta.url));
    await expect(starting).rejects.toThrow('unstartable.child.ts ended');
  });
});
