import { defineProblem } from '../../core/problems/problem.js';

export const googleNotConfigured = defineProblem({
  code: 'google-not-configured',
  status: 503,
  title: 'Nobody signs in with Google here',
  help: 'The operator has set up no client at Google. Sign in with e-mail and password; trying again does not help.',
  isMeant: true,
});

export const googleUnavailable = defineProblem({
  code: 'google-unavailable',
  status: 503,
  title: 'Google cannot be asked right now',
  help: 'Google does not answer, or not as it should, so nobody can say who you are. Nothing has changed; begin again after `Retry-After` seconds.',
});

export const invalidState = defineProblem({
  code: 'invalid-state',
  status: 403,
  title: 'This was not begun here, or is over',
  help: 'Signing in with Google ends in the browser in which it began, within ten minutes, once. Cookies must be allowed. Begin again.',
});

export const googleDenied = defineProblem({
  code: 'google-denied',
  status: 403,
  title: 'Google was not allowed to tell who you are',
  help: 'The request was refused at Google, by you or by whoever manages your Google account. Allow it, or sign in with e-mail and password.',
});

export const invalidGoogleCode = defineProblem({
  code: 'invalid-google-code',
  status: 401,
  title: 'Google does not know this code',
  help: 'The code in the address was used before, is out of date, or was not made for us. Begin again.',
});

export const invalidIdToken = defineProblem({
  code: 'invalid-id-token',
  status: 401,
  title: 'The ID token is not good',
  help: 'It was not signed by Google, is out of date, was made for another app, or its nonce is another one. Have the user sign in to Google again.',
});

export const emailMissing = defineProblem({
  code: 'email-missing',
  status: 403,
  title: 'Google tells no e-mail address',
  help: 'An account needs an address. Allow Google to tell yours, or ask for the scope `email`.',
});

export const emailUnverified = defineProblem({
  code: 'email-unverified',
  status: 403,
  title: 'The e-mail address is not proved to be yours',
  help: 'An account is made for an address that Google has verified; and before another Google address is linked to an account, that account must have verified its own. Verify it, then try again.',
});

export const linkRequired = defineProblem({
  code: 'link-required',
  status: 409,
  title: 'The address has an account that is not linked with this Google account',
  help: 'Sign in to it with its password, and link Google there. If the account was not made by you, ask for a new password first: only who reads mail at the address gets it.',
});

export const googleTaken = defineProblem({
  code: 'google-taken',
  status: 409,
  title: 'The Google account belongs to another account',
  help: 'Each Google account opens one account here. Unlink it there first.',
});

export const googleLinked = defineProblem({
  code: 'google-linked',
  status: 409,
  title: 'The account has another Google account already',
  help: 'An account has one Google account at the most. Unlink that one first.',
});

export const lastSignInWay = defineProblem({
  code: 'last-sign-in-way',
  status: 409,
  title: 'Nobody could sign in any more',
  help: 'The account has no password, so Google is the only way in. Set a password first: ask for a new one as if it were forgotten.',
});

export const accountDisabled = defineProblem({
  code: 'account-disabled',
  status: 403,
  title: 'The account is disabled',
  help: 'Google says who you are, but an administrator has disabled your account. Ask the people who run this server.',
});
