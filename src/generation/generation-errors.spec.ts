import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { INTERNAL_ERROR } from '../queue/work-lease.js';
import { GENERATION_ERRORS } from './generation-errors.js';
import { CANCELLED, TIMED_OUT } from './generation.entity.js';
import { generationSchema } from './generation.schema.js';

const CODES = Object.keys(GENERATION_ERRORS).toSorted();

describe('the codes that generations end with', () => {
  it('are those that docs/generation.md tells of', () => {
    const guide = readFileSync(new URL('../../docs/generation.md', import.meta.url), 'utf8');
    const [, section = ''] = guide.split('\n### What can go wrong\n');
    const [table = ''] = section.split('\n#');
    const rows = [...table.matchAll(/^\| `([^`]+)`/gm)].map(([, code = '']) => code);
    expect([...new Set(rows)].toSorted()).toEqual(CODES);
  });

  it('are all told in the document of the API', () => {
    const document = JSON.stringify(z.toJSONSchema(generationSchema, { io: 'output' }));
    for (const code of CODES) expect(document).toContain(`\`${code}\` (`);
  });

  it('have those among them that are written by others', () => {
    for (const code of [INTERNAL_ERROR.code, CANCELLED.code, TIMED_OUT]) {
      expect(CODES).toContain(code);
    }
  });
});
