/** The languages that every mail is written in. */
export const MAIL_LANGUAGES = ['en', 'es'] as const;
export type MailLanguage = (typeof MAIL_LANGUAGES)[number];

/** The language to write in to somebody who reads this one: English for those that we do not have. */
export function mailLanguageOf(tag: string): MailLanguage {
  const [language = ''] = tag.toLowerCase().split('-');
  return MAIL_LANGUAGES.find((known) => known === language) ?? 'en';
}
