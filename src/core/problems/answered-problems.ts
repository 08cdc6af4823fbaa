import type { ServerResponse } from 'node:http';
import type { ProblemDefinition } from './problem.js';

const answered = new WeakMap<ServerResponse, ProblemDefinition>();

/** Remembers what a response tells, for those who only see the response. */
export function rememberProblem(response: ServerResponse, definition: ProblemDefinition): void {
  answered.set(response, definition);
}

/** The problem that a response told, if it told any. */
export function problemOf(response: ServerResponse): ProblemDefinition | undefined {
  return answered.get(response);
}

/** Whether a response tells of a fault of ours, or of something that is away. */
export function tellsOfFault(response: ServerResponse): boolean {
  return response.statusCode >= 500 && problemOf(response)?.isMeant !== true;
}
