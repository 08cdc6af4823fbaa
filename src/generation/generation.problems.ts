import { defineProblem } from '../core/problems/problem.js';

export const generationOver = defineProblem({
  code: 'generation-over',
  status: 409,
  title: 'It is over',
  help: 'The generation has ended before it could be cancelled. Show it to see how.',
});

export const tooManyCancelled = defineProblem({
  code: 'too-many-cancelled',
  status: 429,
  title: 'Too many pictures were cancelled',
  help: 'Within the last hour you have cancelled too many generations, or deleted their images, that a model was already at work on. Each costs the operator, and nothing was charged for it. More can be asked for after `Retry-After` seconds; what is under way goes on, and can be cancelled as always.',
});

export const tooManyStreams = defineProblem({
  code: 'too-many-streams',
  status: 429,
  title: 'Too many generations are followed at once',
  help: 'You have as many streams of events open as one may have. Close one, or try again after `Retry-After` seconds: each ends by itself within a minute, or when its generation is over. Generations can always be shown without following them.',
});
