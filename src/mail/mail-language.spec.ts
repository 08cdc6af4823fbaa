import { describe, expect, it } from '@jest/globals';
import { mailLanguageOf } from './mail-language.js';

describe('The language of a mail', () => {
  it.each(['es', 'es-MX', 'ES', 'es-419', 'es-Latn-ES'])('is Spanish for %s', (tag) => {
    expect(mailLanguageOf(tag)).toBe('es');
  });

  it.each(['en', 'en-GB', 'pt-BR', 'est', 'e', '', '-es', 'x-es', 'toString'])(
    'is English for %j',
    (tag) => {
      expect(mailLanguageOf(tag)).toBe('en');
    },
  );
});
