import { type z } from 'zod';
import { documented } from './documented.js';
import { type Misfit, misfitsBy } from './misfits.js';
import { httpUrl, vendorUrl, visible, visibleWords } from './values.js';

/** The endpoints are those of https://accounts.google.com/.well-known/openid-configuration. */
export const googleVariables = {
  GOOGLE_CLIENT_ID: documented(visible.optional(), {
    help: 'The OAuth client of the web application at Google, to let people sign in with Google. Default: they sign in with e-mail and password alone.',
    example: '<number>-<letters>.apps.googleusercontent.com',
  }),
  GOOGLE_CLIENT_SECRET: documented(visible.optional(), {
    help: 'The secret of GOOGLE_CLIENT_ID.',
    example: '<client secret>',
  }),
  GOOGLE_CALLBACK_URL: documented(httpUrl.optional(), {
    help: 'Where Google sends browsers back to; the client at Google lists it to the letter. On the host at which they began, since a cookie waits for them there. Default: PUBLIC_URL with /api/v1/auth/google/callback.',
    example: 'https://api.example.com/api/v1/auth/google/callback',
  }),
  GOOGLE_MOBILE_CLIENT_IDS: documented(visibleWords, {
    help: 'Further clients whose ID tokens are taken, separated by commas: those of mobile apps that ask Google for no token of GOOGLE_CLIENT_ID.',
    example: '<number>-<letters>.apps.googleusercontent.com',
  }),
  GOOGLE_AUTH_URL: documented(vendorUrl.default('https://accounts.google.com/o/oauth2/v2/auth'), {
    help: 'Where browsers are sent to sign in at Google. This one and the three below are for tests and for gateways of your own: https, or on this machine.',
  }),
  GOOGLE_TOKEN_URL: documented(vendorUrl.default('https://oauth2.googleapis.com/token'), {
    help: 'Where Google takes codes.',
  }),
  GOOGLE_USERINFO_URL: documented(
    vendorUrl
      .refine((value) => value.endsWith('/userinfo'), { error: 'must end in /userinfo' })
      .default('https://openidconnect.googleapis.com/v1/userinfo'),
    { help: 'Where Google tells who somebody is; it ends in /userinfo.' },
  ),
  GOOGLE_KEYS_URL: documented(vendorUrl.default('https://www.googleapis.com/oauth2/v3/certs'), {
    help: 'The keys that ID tokens are signed with, as a JWK set.',
  }),
};

type GoogleVariables = z.output<z.ZodObject<typeof googleVariables>>;

/** What is missing of a client that is configured by half. */
export function googleMisfits(env: GoogleVariables): Misfit[] {
  const { GOOGLE_CLIENT_ID: id, GOOGLE_CLIENT_SECRET: secret } = env;
  const needing = [
    ...(secret === undefined ? [] : ['GOOGLE_CLIENT_SECRET']),
    ...(env.GOOGLE_CALLBACK_URL === undefined ? [] : ['GOOGLE_CALLBACK_URL']),
    ...(env.GOOGLE_MOBILE_CLIENT_IDS.length === 0 ? [] : ['GOOGLE_MOBILE_CLIENT_IDS']),
  ];
  return misfitsBy([
    [
      id === undefined && needing.length > 0,
      'GOOGLE_CLIENT_ID',
      `is required with ${needing.join(', ')}`,
    ],
    [
      id !== undefined && secret === undefined,
      'GOOGLE_CLIENT_SECRET',
      'is required with GOOGLE_CLIENT_ID',
    ],
  ]);
}
