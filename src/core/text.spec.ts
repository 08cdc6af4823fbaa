import { describe, expect, it } from '@jest/globals';
import { lineOfText, text } from './text.js';

const several = text({ min: 1, max: 4 });
const one = lineOfText({ min: 1, max: 4 });

/** The characters of category Cc, by their numbers. */
const CONTROL_CHARACTERS = [
  ...Array(0x20).keys(),
  ...Array.from({ length: 0x21 }, (_, at) => 0x7f + at),
];
const LINE_BREAKS_AND_TABS = [0x09, 0x0a, 0x0d];

const isTaken = (schema: typeof one, code: number) =>
  schema.safeParse(`a${String.fromCharCode(code)}b`).success;

describe('text that people typed', () => {
  it('has no control characters but line breaks and tabs', () => {
    expect(CONTROL_CHARACTERS.filter((code) => isTaken(several, code))).toEqual(
      LINE_BREAKS_AND_TABS,
    );
  });

  it('of one line has none at all', () => {
    expect(CONTROL_CHARACTERS.filter((code) => isTaken(one, code))).toEqual([]);
    for (const code of [0x20, 0x7e, 0xa0, 0xad, 0x200d]) expect(isTaken(one, code)).toBe(true);
  });

  it('is well-formed', () => {
    for (const schema of [one, several]) {
      expect(schema.safeParse('\ud83e').success).toBe(false);
      expect(schema.safeParse('🦊').success).toBe(true);
    }
  });

  it('is trimmed before it is looked at, and counted by code points', () => {
    for (const schema of [one, several]) {
      expect(schema.parse('\n\t 🦊🦊🦊🦊\r\n')).toBe('🦊🦊🦊🦊');
      expect(schema.safeParse('🦊🦊🦊🦊a').success).toBe(false);
      expect(schema.safeParse(' \n ').success).toBe(false);
    }
  });
});
