import { describe, expect, it } from '@jest/globals';
import { cutPage, decodeCursor, encodeCursor, timeValue } from './paging.js';

const ORDER = '-createdAt';

const row = (n: number) => ({
  sortValue: `2026-01-0${n}T00:00:00.000Z`,
  id: `01a1fb4a-2f45-7008-8b93-dafac012660${n}`,
});

const cut = (rows: ReturnType<typeof row>[], total?: number) =>
  cutPage(rows, { limit: 2, order: ORDER, total });

describe('a page', () => {
  it('leads to the next one when there is more, and ends otherwise', () => {
    const page = cut([row(3), row(2), row(1)]);
    expect(page.items).toEqual([row(3), row(2)]);
    const { sortValue: value, id } = row(2);
    expect(decodeCursor(page.nextCursor ?? '', ORDER, timeValue)).toEqual({
      order: ORDER,
      value,
      id,
    });
    expect(cut([row(3), row(2)]).nextCursor).toBeNull();
    expect(cut([])).toEqual({ items: [], nextCursor: null });
  });

  it('tells the total only when it was counted', () => {
    expect(cut([], 0)).toEqual({ items: [], nextCursor: null, total: 0 });
  });
});

describe('a cursor', () => {
  const position = { order: ORDER, value: row(1).sortValue, id: row(1).id };

  it.each([
    '',
    'x',
    Buffer.from('[]').toString('base64url'),
    Buffer.from('["now","me"]').toString('base64url'),
    encodeCursor({ ...position, id: `' or 1=1` }),
    encodeCursor({ ...position, value: '0000-01-01T00:00:00.000Z' }),
    encodeCursor({ ...position, value: '12026-01-01T00:00:00.000Z' }),
    encodeCursor({ ...position, order: 'title' }),
    Buffer.from(`["${ORDER}",1e300,"${row(1).id}"]`).toString('base64url'),
  ])('that nobody was given is refused: %s', (cursor) => {
    expect(() => decodeCursor(cursor, ORDER, timeValue)).toThrow(
      'The cursor is not one that this list answered.',
    );
  });
});
