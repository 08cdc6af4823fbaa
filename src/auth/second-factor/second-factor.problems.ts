import { defineProblem } from '../../core/problems/problem.js';

export const totpRequired = defineProblem({
  code: 'totp-required',
  status: 401,
  title: 'A code is needed as well',
  help: 'The account signs in with two factors, and the first one was right. Send `challenge`, which is good for five minutes, to `POST /api/v1/auth/totp` with the six digits that the authenticator shows, or with a recovery code.',
});

export const invalidChallenge = defineProblem({
  code: 'invalid-challenge',
  status: 401,
  title: 'Signing in has to begin anew',
  help: 'The challenge is more than five minutes old, is not one of ours, or its account has been changed since. Sign in again for another one.',
});

export const invalidCode = defineProblem({
  code: 'invalid-code',
  status: 401,
  title: 'The code is wrong',
  help: 'It is not what the authenticator shows, was used before, or is not one of the recovery codes that are left. A code of six digits is good once, and for a minute or so: wait for the next one, and see that the clock of the device is right.',
});

export const wrongCode = defineProblem({
  code: 'wrong-code',
  status: 403,
  title: 'This change needs a right code',
  help: 'The code is not what the authenticator shows, or was used before. Each is good once: after signing in with it, wait for the next one.',
});

export const tooManyCodes = defineProblem({
  code: 'too-many-codes',
  status: 429,
  title: 'Too many wrong codes',
  help: 'So many codes in a row were wrong that one more is taken only after `Retry-After` seconds. A recovery code is taken at once. If it was not you who tried, somebody knows your password: choose another one.',
});

export const totpOn = defineProblem({
  code: 'totp-on',
  status: 409,
  title: 'Two factors are switched on already',
  help: 'The account has an authenticator. To take another one, switch it off first.',
});

export const totpOff = defineProblem({
  code: 'totp-off',
  status: 409,
  title: 'Two factors are not switched on',
  help: 'The account has no authenticator for this: `GET /api/v1/me/totp` tells whether one was asked for and waits to be confirmed.',
});

export const totpUnreadable = defineProblem({
  code: 'totp-unreadable',
  status: 409,
  title: 'The authenticator can no longer be checked',
  help: 'What it was set up with cannot be read, because a secret of the server has been changed. Sign in with a recovery code, switch two factors off and on again, or ask an administrator to switch them off for you.',
});
