import { describe, expect, it } from '@jest/globals';
import { describeError } from './error-description.js';

/** An error as `pg` throws it, with everything that it carries. */
function databaseError(message: string): Error {
  return Object.assign(new Error(message), {
    code: '23514',
    constraint: 'users_email_lower_case',
    detail: 'Failing row contains (id, canary@example.com, $argon2id$canary).',
    client: { secretKey: 1234, password: 'canary' },
    query: "insert into users values ('canary@example.com')",
  });
}

describe('the description of an error', () => {
  it('has what an operator needs, and its causes', () => {
    const error = new Error('It failed', { cause: databaseError('violates a constraint') });
    expect(describeError(error)).toMatchObject({
      type: 'Error',
      message: 'It failed',
      stack: expect.stringContaining('error-description.spec'),
      cause: { code: '23514', constraint: 'users_email_lower_case' },
    });
  });

  it.each([
    'violates a constraint',
    'violates a constraint\ndetail: Failing row contains (id, canary@example.com, $argon2id$canary).',
    'Failing row contains (id, canary@example.com, a (nested) one\n, $argon2id$canary).',
    'insert into "users" values (\'canary@example.com\') - violates a constraint',
    "update users set email = 'canary'\nwhere id = 'x' - violates a constraint",
  ])('has nothing of the rows and connections that it carries: %j', (message) => {
    const text = JSON.stringify(describeError(databaseError(message)));
    expect(text).not.toContain('canary');
    expect(text).not.toContain('secretKey');
  });

  it('exists for whatever was thrown', () => {
    expect(describeError('canary')).toEqual({ type: 'string', message: 'Not an Error' });
    expect(describeError(undefined)).toMatchObject({ type: 'undefined' });
  });
});
