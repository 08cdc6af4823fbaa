import { defineProblem } from '../../core/problems/problem.js';

export const generationNotConfigured = defineProblem({
  code: 'generation-not-configured',
  status: 503,
  title: 'This server makes no pictures',
  help: 'Pictures are made by a model, and the operator has set up none. Nothing was charged; trying again does not help.',
  isMeant: true,
});
