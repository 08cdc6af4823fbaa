import type { MailLanguage } from './mail-language.js';

/** What the row of a mail holds for whoever writes it: ids, and nothing secret. */
export type MailData = Readonly<Record<string, string>>;

/** What a mail says. */
export interface MailText {
  /** One line. */
  readonly subject: string;
  /** Plain text. */
  readonly text: string;
}

/** A mail as it is sent. */
export interface Letter extends MailText {
  /** Of its row. */
  readonly id: string;
  readonly to: string;
  readonly language: MailLanguage;
}
