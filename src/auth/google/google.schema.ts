import { z } from 'zod';
import { ownPassword } from '../passwords/password.schema.js';
import { refreshIn } from '../sign-in/sign-in.schema.js';

const ANY_ORIGIN = 'https://any.invalid';

/**
 * A path of the app, with a query or without. Only one that a browser takes as it stands: two slashes,
 * backslashes, dots, blanks and line feeds are where browsers differ from those who check.
 */
export const returnTo = z
  .string()
  .max(1_000)
  .refine((value) => /^\/(?!\/)[^#]*$/.test(value) && isAsBrowsersHaveIt(value), {
    error: 'must be a path such as /welcome?from=google, escaped where need be, without a fragment',
  })
  .describe(
    'A path below `APP_URL` that the browser is sent to in the end, escaped where need be.',
  );

/** More than Google's codes and states are. */
const parameter = z.string().max(2_048).optional();

/** Three times what Google's are. */
const idToken = z.string().min(1).max(8_192).describe('As Google has given it to the app.');
const nonce = z
  .string()
  .min(1)
  .max(512)
  .optional()
  .describe('The one that Google was asked with. Required when it was, and refused when not.');

export const googleStartQuery = z.strictObject({ returnTo: returnTo.optional(), refreshIn });

/** Google sends more than this, and other things tomorrow. */
export const googleCallbackQuery = z.object({
  code: parameter,
  state: parameter,
  error: parameter.describe('Why there is no code.'),
});

export const googleTokenSchema = z
  .strictObject({ idToken, nonce, refreshIn })
  .meta({ id: 'GoogleToken' });

export const linkGoogleSchema = z
  .strictObject({ idToken, nonce, password: ownPassword })
  .meta({ id: 'LinkGoogle' });

export const beginGoogleLinkSchema = z
  .strictObject({ password: ownPassword, returnTo: returnTo.default('/') })
  .meta({ id: 'BeginGoogleLink' });

export const unlinkGoogleSchema = z
  .strictObject({ password: ownPassword })
  .meta({ id: 'UnlinkGoogle' });

export const googleLinkSchema = z
  .object({ linked: z.boolean().describe('Whether a Google account opens this account.') })
  .meta({ id: 'GoogleLink' });

export const googleAddressSchema = z
  .object({ url: z.url().describe('Where the browser goes next, within ten minutes.') })
  .meta({ id: 'GoogleAddress' });

export type GoogleStart = z.output<typeof googleStartQuery>;
export type GoogleCallback = z.output<typeof googleCallbackQuery>;
export type GoogleToken = z.output<typeof googleTokenSchema>;
export type LinkGoogle = z.output<typeof linkGoogleSchema>;
export type BeginGoogleLink = z.output<typeof beginGoogleLinkSchema>;
export type UnlinkGoogle = z.output<typeof unlinkGoogleSchema>;

function isAsBrowsersHaveIt(path: string): boolean {
  const address = ANY_ORIGIN + path;
  return URL.canParse(address) && new URL(address).href === address;
}
