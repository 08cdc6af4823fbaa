import { withAdministrators } from './administrators.js';
import { readEnv } from './core/env.js';
import { runEntryPoint } from './core/process/entry-point.js';
import { FIRST_ADMINISTRATOR, firstCredentials } from './standalone/first-administrator.js';

/**
 * Makes the first administrator, for `npm start`. The file with the password is there before the
 * account: when it ends in between, the next start goes on with it. An account that is there already
 * is somebody's, and gets no role by this.
 */
runEntryPoint(async () => {
  const env = readEnv();
  const isMade = await withAdministrators(env, async (administrators) => {
    if (await administrators.isTaken(FIRST_ADMINISTRATOR)) return false;
    return (await administrators.create(firstCredentials(env.DATA_DIR))) !== undefined;
  });
  if (isMade) return;
  process.stdout.write('There is no administrator. Make one: npm run admin:create -- --email …\n');
});
