import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { withAdministrators } from './administrators.js';
import type { Appointment } from './auth/administration/administrators.service.js';
import { emailAddress } from './auth/users/user.schema.js';
import { readEnv } from './core/env.js';
import { CannotStart } from './core/process/cannot-start.js';
import { runTool } from './core/process/tool.js';
import { Problem } from './core/problems/problem.js';
import { besideStandalone } from './standalone/beside.js';

/**
 * `npm run admin:create -- --email <address> [--password-stdin]`: makes an administrator of the
 * account with this address, or a new account with a password that it prints or is given.
 *
 * Exit code 0 when the account is an administrator's, also when it was so already; 2 when not.
 */

const USAGE = 'npm run admin:create -- --email <address> [--password-stdin]';
const PASSWORD_BYTES = 18;

runTool(USAGE, { email: 'text', 'password-stdin': 'flag' }, async (given) => {
  const email = readAddress(given.email);
  const typed = given['password-stdin'] ? await readPassword() : undefined;
  const password = typed ?? randomBytes(PASSWORD_BYTES).toString('base64url');
  const instance = await besideStandalone();
  try {
    const appointment = await withAdministrators(readEnv(instance.settings), (administrators) =>
      administrators.appoint({ email, password }),
    );
    print(describe(appointment, { typed, password }));
  } catch (error) {
    throw error instanceof Problem ? new CannotStart(error.message) : error;
  } finally {
    await instance.close();
  }
});

/** @throws CannotStart */
function readAddress(given: string | undefined): string {
  if (given === undefined) throw new CannotStart(`--email is missing.\nUsage: ${USAGE}`);
  const { data } = emailAddress.safeParse(given);
  if (data === undefined) throw new CannotStart('--email must be an e-mail address.');
  return data;
}

/** The first line of standard input. @throws CannotStart when there is none */
async function readPassword(): Promise<string> {
  if (process.stdin.isTTY) process.stderr.write('Password, which is shown as you type it: ');
  const lines = createInterface({ input: process.stdin });
  try {
    for await (const line of lines) if (line !== '') return line;
  } finally {
    lines.close();
  }
  throw new CannotStart('No password came from standard input.');
}

/** @throws CannotStart when nobody became an administrator */
function describe(
  { outcome, user }: Appointment,
  { typed, password }: { typed: string | undefined; password: string },
): string[] {
  const { email } = user;
  const kept = typed === undefined ? [] : ['Its password was left as it is.'];
  switch (outcome) {
    case 'created':
      return typed === undefined
        ? [
            `${email} is an administrator now, with a new account.`,
            `Password: ${password}`,
            'It is shown this once.',
          ]
        : [`${email} is an administrator now, with a new account and your password.`];
    case 'promoted':
      return [`The account of ${email} is an administrator’s now.`, ...kept, ...doubts(user)];
    case 'unchanged':
      return [`${email} is an administrator already.`, ...kept];
    case 'disabled':
      throw new CannotStart(
        `The account of ${email} is disabled, and was left so. Make another administrator, who can enable it.`,
      );
  }
}

/** Anyone can register with anyone's address. */
function doubts({ emailVerifiedAt }: Appointment['user']): string[] {
  return emailVerifiedAt == null
    ? ['Nobody has proved yet that the address is theirs: be sure that you know who registered it.']
    : [];
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}
