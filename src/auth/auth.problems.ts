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

export const invalidCredentials = defineProblem({
  code: 'invalid-credentials',
  status: 401,
  title: 'E-mail or password is wrong',
  help: 'No account has this address and password together. Which of the two is wrong is not told.',
});
