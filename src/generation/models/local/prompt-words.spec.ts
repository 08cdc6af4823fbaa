import { describe, expect, it } from '@jest/globals';
import { readPrompt } from './prompt-words.js';

describe('the words of a prompt', () => {
  it.each([
    ['A lighthouse by the SEA', 'sea', undefined],
    ['snowy mountains at dawn', 'mountains', 'winter'],
    ['Montañas al amanecer', 'mountains', 'dawn'],
    ['a city skyline at night, far from the sea', 'city', 'night'],
    ['hot stone massage', 'stones', undefined],
    ['roses', 'flowers', undefined],
    ['constructor __proto__', undefined, undefined],
    ['', undefined, undefined],
    ['山', undefined, undefined],
  ])('%j name %s and %s', (prompt, motif, mood) => {
    expect(readPrompt(prompt)).toMatchObject({ motif, mood });
  });

  it('name colours in their order, each once', () => {
    const hues = (prompt: string) => readPrompt(prompt).colours.map(({ h }) => h);
    expect(hues('a teal hill, a red sky, a crimson barn and a turquoise door')).toEqual([195, 27]);
    expect(hues('flores moradas')).toEqual([303]);
    expect(hues('una casa azul y roja, violeta')).toEqual([255, 27, 303]);
  });
});
