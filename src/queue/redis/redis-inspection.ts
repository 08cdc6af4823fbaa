import type { Logger } from '@nestjs/common';
import type { Cluster, Redis } from 'ioredis';
import { inTime } from '../../core/in-time.js';
import { CannotStart } from '../../core/process/cannot-start.js';
import type { RedisAddress } from '../../core/redis/redis-address.js';
import { newRedisClient, ONCE } from '../../core/redis/redis-client.js';

/** From here on BullMQ recommends a version of Redis; Valkey tells that of the Redis it is like. */
const RECOMMENDED_VERSION = [6, 2] as const;

/** How long to wait for an answer, in milliseconds. */
const PATIENCE_MS = 5_000;

/** What an answer says, and what it means. The first that fits is told. */
const MEANINGS: readonly { says: RegExp; means: string }[] = [
  {
    says: /^(WRONGPASS|NOAUTH)|invalid (username-)?password|AUTH .*without any password/,
    means: 'refuses the user or password of REDIS_URL, or of REDIS_USERNAME and REDIS_PASSWORD',
  },
  { says: /DB index is out of range/, means: 'has no database of the number in REDIS_URL' },
  {
    says: /cluster support disabled/,
    means: 'is no Cluster: REDIS_CLUSTER must not be set',
  },
  {
    says: /self-signed certificate|unable to (verify the first|get (local )?issuer) certificate/,
    means: 'has a certificate that nobody known has signed: see REDIS_CA_FILE',
  },
];

/**
 * Looks at Redis before anything relies on it, and warns of what would do harm.
 *
 * @throws CannotStart when it answers that it is not what the environment says; when it does not
 * answer, that is only told
 */
export async function inspectRedis(address: RedisAddress, logger: Logger): Promise<void> {
  const client = newRedisClient(address, ONCE);
  const errors: Error[] = [];
  client.on('error', (error: Error) => errors.push(error));
  try {
    const facts = await inTime(askForFacts(client), PATIENCE_MS);
    if (address.kind !== 'cluster' && facts.get('cluster_enabled') === '1') {
      throw new CannotStart('Redis is a Cluster: REDIS_CLUSTER=true must be set.');
    }
    // ioredis goes on with the first database when there is none of that number.
    refuseKnownMistakes(errors);
    for (const warning of warningsAbout(facts)) logger.warn(warning);
  } catch (error) {
    if (error instanceof CannotStart) throw error;
    refuseKnownMistakes([error, ...errors]);
    // The last is what the connection says itself, where ioredis only says that it is closed.
    logger.warn({
      err: errors.at(-1) ?? error,
      msg: 'Redis cannot be looked at; starting without it',
    });
  } finally {
    client.disconnect();
  }
}

/** The lines `name:value` of the answer to INFO. */
async function askForFacts(client: Redis | Cluster): Promise<Map<string, string>> {
  await client.connect();
  const lines = (await client.info()).split(/\r?\n/).filter((line) => line.includes(':'));
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}

/** @throws CannotStart when one of the errors has a meaning for the operator */
function refuseKnownMistakes(errors: unknown[]): void {
  const said = messagesOf(errors);
  const meaning = MEANINGS.find(({ says }) => said.some((message) => says.test(message)));
  if (meaning) throw new CannotStart(`Redis ${meaning.means}.`);
}

/** The messages of errors and of their causes, as ioredis nests them. */
function messagesOf(errors: unknown[]): string[] {
  return errors.flatMap((error) => {
    if (!(error instanceof Error)) return [];
    const { lastNodeError } = error as { lastNodeError?: unknown };
    return [error.message, ...messagesOf([lastNodeError, error.cause])];
  });
}

function warningsAbout(facts: Map<string, string>): string[] {
  const warnings: string[] = [];
  const policy = facts.get('maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    warnings.push(
      `Redis has the maxmemory-policy ${policy}, and may throw jobs away, which then come late: set it to noeviction.`,
    );
  }
  const version = facts.get('redis_version') ?? '';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [leastMajor, leastMinor] = RECOMMENDED_VERSION;
  if (version !== '' && (major < leastMajor || (major === leastMajor && minor < leastMinor))) {
    warnings.push(`Redis ${version} is too old: use ${RECOMMENDED_VERSION.join('.')} or later.`);
  }
  return warnings;
}
