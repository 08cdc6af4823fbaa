import { describe, expect, it } from '@jest/globals';
import { cutPage, decodeCursor, encodeCursor } from './paging.js';

const row = (n: number) => ({
  createdAt: `2026-01-0${n}T00:00:00.000Z`,
  id: `01a1fb4a-2f45-7008-8b93-dafac012660${n}`,
});

describe('a page', () => {
  it('leads to the next one when there is more, and ends otherwise', () => {
    const page = cutPage([row(3), row(2), row(1)], 2, ({ id }) => id);
    expect(page.items).toEqual([row(3).id, row(2).id]);
    expect(decodeCursor(page.nextCursor ?? '')).toEqual(row(2));
    expect(cutPage([row(3), row(2)], 2, ({ id }) => id).nextCursor).toBeNull();
    expect(cutPage([], 2, String)).toEqual({ items: [], nextCursor: null });
  });

  it('tells the total only when it was counted', () => {
    expect(cutPage([], 2, String, 0)).toEqual({ items: [], nextCursor: null, total: 0 });
  });
});

describe('a cursor', () => {
  it.each([
    '',
    'x',
    Buffer.from('[]').toString('base64url'),
    Buffer.from('["now","me"]').toString('base64url'),
    encodeCursor({ ...row(1), id: `' or 1=1` }),
    encodeCursor({ ...row(1), createdAt: '0000-01-01T00:00:00.000Z' }),
    Buffer.from(`[1e300,"${row(1).id}"]`).toString('base64url'),
  ])('that nobody was given is refused: %s', (cursor) => {
    expect(() => decodeCursor(cursor)).toThrow('The cursor is not one that this list answered.');
  });
});
