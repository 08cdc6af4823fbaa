import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { connectOrRefuse } from '../core/database/database-url.js';
import { readPrivateJson, writePrivateJson } from './private-file.js';

const PASSWORD_BYTES = 18;

const credentialsSchema = z.object({ email: z.string(), password: z.string() });

type Credentials = z.output<typeof credentialsSchema>;

/** An address that nobody else can have: RFC 6761 section 6.3. */
export const FIRST_ADMINISTRATOR = 'admin@atelier.localhost';

/** The file that keeps what the first administrator signs in with: it is the body of that request. */
export function credentialsFile(dataDir: string): string {
  return join(dataDir, 'first-administrator.json');
}

/** What the first administrator signs in with, made on the first call and kept (mode 600). */
export function firstCredentials(dataDir: string): Credentials {
  const file = credentialsFile(dataDir);
  const kept = readPrivateJson(file, credentialsSchema);
  if (kept) return kept;
  const password = randomBytes(PASSWORD_BYTES).toString('base64url');
  const made = { email: FIRST_ADMINISTRATOR, password };
  writePrivateJson(file, made);
  return made;
}

/** Whether a migrated database has an administrator, be it one that is disabled. */
export async function hasAdministrator(url: string): Promise<boolean> {
  const client = await connectOrRefuse({ variable: 'DATABASE_URL', url });
  try {
    const { rowCount } = await client.query(
      `select 1 from users where 'ADMIN' = any (roles) limit 1`,
    );
    return rowCount === 1;
  } finally {
    await client.end();
  }
}
