import { z } from 'zod';
import { documented } from './documented.js';
import { type Misfit, misfitsBy } from './misfits.js';
import { hasEscapedCredentials } from './url-credentials.js';
import { httpUrl } from './values.js';

const smtpUrl = z
  .url({
    protocol: /^smtps?$/,
    error:
      'must be an smtp:// or smtps:// URL, such as smtp://user:password@host:587, with @ in a user as %40',
    abort: true,
  })
  .refine((value) => new URL(value).hostname !== '', { error: 'must name a host' })
  .refine((value) => /^\/?$/.test(new URL(value).pathname), { error: 'must have no path' })
  .refine((value) => new URL(value).search === '' && new URL(value).hash === '', {
    error: 'must have no parameters',
  })
  .refine((value) => hasEscapedCredentials(new URL(value)), {
    error: 'must have its user and password escaped: % as %25, @ as %40',
  })
  .refine((value) => (new URL(value).username === '') === (new URL(value).password === ''), {
    error: 'must have a user and a password, or neither',
  })
  .describe('an `smtp://` or `smtps://` URL');

/** A name before an address in angle brackets, in quotation marks or not. */
const NAMED_ADDRESS = /^(?:"(?<quoted>[^"\\]*)"|(?<name>[^"\\<>@,;:]*))\s*<(?<address>[^<>]*)>$/;

/** Who mail is from. */
export interface Sender {
  /** Empty when there is none. */
  readonly name: string;
  readonly address: string;
}

const sender = z
  .string()
  .transform((value, context): Sender => {
    const { quoted, name, address } = NAMED_ADDRESS.exec(value.trim())?.groups ?? {
      address: value.trim(),
    };
    const shown = (quoted ?? name ?? '').trim();
    if (z.email().safeParse(address).success && !/\p{Cc}/u.test(shown)) {
      return { name: shown, address: address ?? '' };
    }
    context.addIssue({
      code: 'custom',
      message: 'must be an address, or a name and an address such as Atelier <mail@example.com>',
    });
    return z.NEVER;
  })
  .describe('an address, or a name and an address');

export const mailVariables = {
  SMTP_URL: documented(smtpUrl.optional(), {
    help: 'The server that mail is sent through, smtps:// for TLS from the first byte. Over smtp:// TLS is used when the server offers it, and required to sign in. Default: mail is recorded for administrators to read; in production none is written unless ALLOW_SANDBOX says so.',
    example: 'smtp://user:password@smtp.example.com:587',
  }),
  MAIL_FROM: documented(sender.optional(), {
    help: 'Who mail is from. Required with SMTP_URL.',
    example: 'Atelier <no-reply@example.com>',
  }),
  APP_URL: documented(httpUrl.optional(), {
    help: 'The address of the app that links in mail lead to: its pages /verify-email, /reset-password and /confirm-email find a token in the fragment. Default: PUBLIC_URL.',
    example: 'https://app.example.com',
  }),
};

/** A mail server without a sender, or the other way round. */
export function mailMisfits(env: z.output<z.ZodObject<typeof mailVariables>>): Misfit[] {
  const { SMTP_URL: url, MAIL_FROM: from } = env;
  return misfitsBy([
    [url !== undefined && from === undefined, 'MAIL_FROM', 'is required with SMTP_URL'],
    [url === undefined && from !== undefined, 'SMTP_URL', 'is required with MAIL_FROM'],
  ]);
}
