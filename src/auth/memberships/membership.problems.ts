import { defineProblem } from '../../core/problems/problem.js';

export const noStudio = defineProblem({
  code: 'no-studio',
  status: 403,
  title: 'There is no studio that this is about',
  help: 'You work at no studio, or at several and the request names none: send `X-Studio-Id`. Or you do not work any more at the one that your access token speaks for: refresh it, and it speaks for another one.',
});

export const lastOwner = defineProblem({
  code: 'last-owner',
  status: 409,
  title: 'A studio keeps an owner',
  help: 'This is the only owner of the studio. Make somebody else an owner first.',
});
