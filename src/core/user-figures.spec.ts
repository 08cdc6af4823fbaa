import { describe, expect, it } from '@jest/globals';
import { UserFigures } from './user-figures.js';

describe('Numbers that users are shown with', () => {
  it('are asked of whoever has registered them, of many users at once', async () => {
    const asked: (readonly string[])[] = [];
    const figures = new UserFigures();
    figures.register('coins', async (userIds) => {
      asked.push(userIds);
      return new Map([['one', 7]]);
    });
    expect(await figures.ofEach('coins', ['one', 'another'])).toEqual(new Map([['one', 7]]));
    expect(await figures.of('coins', 'one')).toBe(7);
    expect(await figures.of('coins', 'another')).toBe(0);
    expect(asked).toEqual([['one', 'another'], ['one'], ['another']]);
  });

  it('are 0 where nobody has registered them', async () => {
    const figures = new UserFigures();
    expect(await figures.of('coins', 'one')).toBe(0);
    expect(await figures.ofEach('coins', ['one'])).toEqual(new Map());
  });

  it('are registered once', () => {
    const figures = new UserFigures();
    figures.register('coins', async () => new Map());
    expect(() => {
      figures.register('coins', async () => new Map());
    }).toThrow('twice');
  });
});
