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
