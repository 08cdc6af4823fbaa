import { expect } from '@jest/globals';
import type { SignInAnswer } from '../src/auth/sign-in/sign-in.schema.js';
import { newId } from '../src/core/ids.js';
import { Browser } from './browser.js';
import type { GooglePerson, GoogleServer } from './google-server.js';
import type { TestingApp } from './testing-app.js';

/** Somebody whose address Google has verified. */
export function aPerson(claims: Partial<GooglePerson> = {}): GooglePerson {
  const sub = newId();
  return { sub, email: `${sub}@example.com`, email_verified: true, ...claims };
}

/** What browsers do at a product, and at the Google that it knows. */
export class GoogleVisits {
  constructor(
    private readonly app: TestingApp,
    private readonly google: GoogleServer,
  ) {}

  /** The whole way to Google and back. */
  async signIn(person: GooglePerson, query = '', browser = new Browser()): Promise<Response> {
    this.google.person = person;
    return browser.visit(await this.toCallback(browser, query));
  }

  /** To Google, and to the callback, but before that is visited. */
  async toCallback(browser: Browser, query = ''): Promise<string> {
    const begun = await browser.visit(`${this.app.url}/api/v1/auth/google${query}`);
    expect(begun.status).toBe(302);
    return Browser.next(await browser.visit(Browser.next(begun)));
  }
}

export async function signedIn(answer: Response): Promise<SignInAnswer> {
  expect(answer.status).toBe(200);
  return (await answer.json()) as SignInAnswer;
}

/** Nothing of what Google said is in the refusal. */
export async function refused(answer: Response, status: number, code: string): Promise<void> {
  const body = await answer.text();
  expect([answer.status, JSON.parse(body)]).toEqual([status, expect.objectContaining({ code })]);
  expect(body).not.toContain('canary');
}

/** The newest entry of an action, with its details. */
export async function lastAuditOf({ database }: TestingApp, action: string) {
  const [entry] = await database.query<{ actor_id: string; after: object; address: string }>(
    `select actor_id, after, address from audit_entries join audit_details on entry_id = id
     where action = $1 order by created_at desc, id desc limit 1`,
    [action],
  );
  return entry;
}
