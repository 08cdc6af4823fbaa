import { defineProblem } from '../core/problems/problem.js';

export const emailTaken = defineProblem({
  code: 'email-taken',
  status: 409,
  title: 'The e-mail address has an account already',
  help: 'Sign in with this address, or register with another one. Capitals make no difference.',
});

export const invalidRefreshToken = defineProblem({
  code: 'invalid-refresh-token',
  status: 401,
  title: 'The session cannot go on',
  help: 'The refresh token is not one of ours, was used before, or its session is over. Sign in again.',
});

export const invalidToken = defineProblem({
  code: 'invalid-token',
  status: 422,
  title: 'The link is not good any more',
  help: 'The token of the mail was used before, is out of date, or is not one of ours. Ask for another mail.',
});

export const wrongPassword = defineProblem({
  code: 'wrong-password',
  status: 403,
  title: 'The password is missing or wrong',
  help: 'This change needs the password of the account besides the access token.',
});

export const invalidCredentials = defineProblem({
  code: 'invalid-credentials',
  status: 401,
  title: 'E-mail or password is wrong',
  help: 'No account has this address and password together. Which of the two is wrong is not told.',
});

export const signInAgain = defineProblem({
  code: 'sign-in-again',
  status: 403,
  title: 'Sign in again first',
  help: 'The account has no password to ask for, so this takes a session that was begun within the last 15 minutes. Sign in once more, in the way that you always do, then repeat the request with the new access token.',
});

export const soleOwner = defineProblem({
  code: 'sole-owner',
  status: 409,
  title: 'A studio would be left without an owner',
  help: 'You are the only owner of a studio in which others work. Make one of them an owner, or take them out of the studio; then delete your account. A studio in which nobody else works is deleted with it.',
});

export const administratorAccount = defineProblem({
  code: 'administrator-account',
  status: 409,
  title: 'An administrator cannot delete their account',
  help: 'Another administrator has to take the role away first, so that the last one never goes by mistake.',
});
