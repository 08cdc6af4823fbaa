import { describe, expect, it } from '@jest/globals';
import { listVariables } from './listing.js';

const all = listVariables().flatMap(({ variables }) => variables);

describe('what a variable may be', () => {
  it.each([
    ['S3_BUCKET', '3 to 63 characters'],
    ['METRICS_TOKEN', 'at least 16 characters'],
    ['S3_REGION', 'text'],
    ['PORT', '0 to 65535'],
    ['STORAGE_REDIRECT', '`true`, `false`'],
    ['S3_PUBLIC_BASE_URL', 'an `http://` or `https://` URL'],
  ])('is told by its schema: %s', (name, values) => {
    expect(all.find((each) => each.name === name)?.values).toBe(values);
  });
});
