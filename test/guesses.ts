import { newId } from '../src/core/ids.js';
import type { TestingApp } from './testing-app.js';

/** How a request was answered. */
export interface Answered {
  status: number;
  headers: Headers;
  body: any;
}

interface Request {
  method?: string;
  body?: object;
  headers?: Record<string, string>;
}

/** What a trusted proxy says of who sends. */
export const from = (address: string) => ({ 'x-forwarded-for': address });

/** An address of an account that nobody has. */
export const anEmail = () => `${newId()}@example.com`;

export async function send(url: string, { method = 'GET', body, headers }: Request = {}) {
  const response = await fetch(url, {
    method,
    headers: { ...(body && { 'content-type': 'application/json' }), ...headers },
    ...(body && { body: JSON.stringify(body) }),
  });
  const answer: Answered = {
    status: response.status,
    headers: response.headers,
    body: await response.json().catch(() => undefined),
  };
  return answer;
}

/** Tries to sign in. @param url where the API is */
export function signIn(
  url: string,
  { email, password }: { email: string; password: string },
  headers: Record<string, string> = {},
): Promise<Answered> {
  const body = { email, password };
  return send(`${url}/api/v1/auth/login`, { method: 'POST', body, headers });
}

/** Does something so many times, forty at once. */
export async function manyTimes<T>(times: number, work: (index: number) => Promise<T>) {
  const results: T[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < times; index = next++) results.push(await work(index));
  };
  await Promise.all(Array.from({ length: 40 }, worker));
  return results;
}

/** How many answers there were of each status. */
export function byStatus(answers: { status: number }[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** Has the minutes be over that are counted in PostgreSQL. */
export async function endMinute(app: TestingApp): Promise<void> {
  await app.database.query('update counters set resets_at = now()');
}
