import { Injectable } from '@nestjs/common';
import type { z } from 'zod';
import type { Letter, MailData, MailText } from './letter.js';
import { type MailLanguage, mailLanguageOf } from './mail-language.js';
import type { OutgoingMail } from './outgoing-mail.entity.js';

/**
 * A kind of mail. The feature that owns it registers it; nothing here knows the features.
 *
 * What strangers type has no place in a text: whoever registers with the address of another would
 * have us send them what they like.
 */
export interface MailTemplate<Data extends MailData, Facts> {
  /** In kebab-case. */
  readonly name: string;
  /** What its rows hold. */
  readonly data: z.ZodType<Data>;
  /** How it is written, from what was looked up for it. */
  readonly texts: Readonly<Record<MailLanguage, (facts: Facts) => MailText>>;
}

/** A mail that is about to be written. */
export interface MailRequest<Data extends MailData> {
  /** Of its row. */
  readonly id: string;
  readonly recipient: string;
  readonly data: Data;
}

/** What a mail is written from. */
export interface MailFacts<Facts> {
  /** The language tag of who reads it. */
  readonly language: string;
  readonly facts: Facts;
}

/**
 * Looks up what a mail is written from, in the worker, each time that it is to be sent.
 *
 * @returns undefined when it is not to be sent after all
 */
export type LookUp<Data extends MailData, Facts> = (
  request: MailRequest<Data>,
) => Promise<MailFacts<Facts> | undefined>;

/** The kinds of mail that this process can write. */
@Injectable()
export class MailTemplates {
  private readonly writers = new Map<string, (mail: OutgoingMail) => Promise<Letter | undefined>>();

  /** @throws Error when another template has the same name */
  register<Data extends MailData, Facts>(
    template: MailTemplate<Data, Facts>,
    lookUp: LookUp<Data, Facts>,
  ): void {
    const { name, data, texts } = template;
    if (this.writers.has(name)) throw new Error(`The mail ${name} is registered twice`);
    this.writers.set(name, async ({ id, recipient, ...mail }) => {
      const found = await lookUp({ id, recipient, data: data.parse(mail.data) });
      if (!found) return undefined;
      const language = mailLanguageOf(found.language);
      return { id, to: recipient, language, ...inOneLine(texts[language](found.facts)) };
    });
  }

  /**
   * @returns undefined when the mail is not to be sent after all
   * @throws Error when nobody has registered its template here
   */
  write(mail: OutgoingMail): Promise<Letter | undefined> {
    const writer = this.writers.get(mail.template);
    if (!writer) throw new Error(`There is no mail called ${mail.template}`);
    return writer(mail);
  }
}

/** A subject of two lines would be a header of its own. */
function inOneLine(text: MailText): MailText {
  if (/[\r\n]/.test(text.subject)) throw new Error('The subject of a mail has several lines');
  return text;
}
