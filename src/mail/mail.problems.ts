import { defineProblem } from '../core/problems/problem.js';

export const mailNotConfigured = defineProblem({
  code: 'mail-not-configured',
  status: 503,
  title: 'This server sends no mail',
  help: 'The request can only be met by mail, and the operator has set up no mail server. Trying again does not help.',
  isMeant: true,
});
