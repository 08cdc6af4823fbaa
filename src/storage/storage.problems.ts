import { defineProblem } from '../core/problems/problem.js';

export const invalidSignature = defineProblem({
  code: 'invalid-signature',
  status: 403,
  title: 'The link is not valid',
  help: 'The link to this file was altered or has expired. Ask the API for the resource again: its answer holds a new link.',
});

export const preconditionFailed = defineProblem({
  code: 'precondition-failed',
  status: 412,
  title: 'The file is another one by now',
  help: 'The file is not the one that `If-Match` or `If-Unmodified-Since` speaks of. Fetch it anew, from its first byte.',
});

export const rangeNotSatisfiable = defineProblem({
  code: 'range-not-satisfiable',
  status: 416,
  title: 'The file has no such bytes',
  help: 'The file ends before the range that was asked for begins. `Content-Range: bytes */SIZE` of the answer tells how many bytes it has.',
});
