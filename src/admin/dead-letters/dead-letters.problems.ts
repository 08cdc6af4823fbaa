import { defineProblem } from '../../core/problems/problem.js';

export const unknownJob = defineProblem({
  code: 'unknown-job',
  status: 409,
  title: 'There is no such kind of job any more',
  help: 'The dead letter is of a kind of job that this release does not know, so nobody can try its work again. Delete it, or go back to a release that knows it.',
});
