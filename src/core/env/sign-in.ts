import { documented } from './documented.js';
import { secret, whole, wholeNumber } from './values.js';

export const signInVariables = {
  APP_SECRET: documented(secret, {
    help: 'Signs file URLs and cookies. At least 32 bytes. `npm start` makes one and keeps it.',
    example: '<openssl rand -base64 48>',
  }),
  JWT_SECRET: documented(secret, {
    help: 'Signs access tokens: its UTF-8 bytes are the HS256 key. At least 32 bytes. `npm start` makes one and keeps it.',
    example: '<openssl rand -base64 48>',
  }),
  ACCESS_TOKEN_SECONDS: documented(whole(900, { min: 30, max: 86_400 }), {
    help: 'How long an access token is valid, in seconds.',
  }),
  PASSWORD_MIN_LENGTH: documented(wholeNumber({ min: 1, max: 128 }).optional(), {
    help: 'The least number of characters in a password. Default: 6, and 8 in production.',
    example: '8',
  }),
};
