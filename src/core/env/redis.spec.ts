import { describe, expect, it } from '@jest/globals';
import { InvalidEnvironment, readEnv } from '../env.js';

const REQUIRED = {
  DATABASE_URL: 'postgresql://app@localhost/atelier',
  APP_SECRET: 'q8Zt2Vn6Lx4Rb9Kd1Ws7Yf3Hj5Mc0Pg-A',
  JWT_SECRET: 'Tz7Bw1Qk9Xe5Ru3Yn8Gc6Lm2Hd4Vs0Jf-B',
};

/** The names of the variables that are refused. */
function refused(variables: NodeJS.ProcessEnv): (string | undefined)[] {
  try {
    readEnv({ ...REQUIRED, ...variables });
    return [];
  } catch (error) {
    if (!(error instanceof InvalidEnvironment)) throw error;
    const { problems } = error;
    expect(problems.join()).not.toContain('hunter2');
    return [...new Set(problems.map((problem) => problem.split(' ')[0]))];
  }
}

describe('the variables of Redis', () => {
  it.each<NodeJS.ProcessEnv>([
    {},
    { REDIS_URL: 'redis://localhost' },
    { REDIS_URL: 'rediss://user:p%40ss@redis.example.com:6380/3', REDIS_CA_FILE: '/ca.pem' },
    { REDIS_URL: 'redis://[::1]:6379/', REDIS_TLS: 'false', REDIS_CLUSTER: 'false' },
    { REDIS_URL: 'rediss://clustercfg.example.com:6379', REDIS_CLUSTER: 'true' },
    { REDIS_HOST: 'redis', REDIS_PORT: '6380', REDIS_PASSWORD: 'x', REDIS_USERNAME: 'y' },
    { REDIS_HOST: 'a:7000, b:7001,[::1]:7002', REDIS_CLUSTER: 'true', REDIS_TLS: 'true' },
    { REDIS_HOST: 'a,b', REDIS_SENTINEL_NAME: 'primary', REDIS_SENTINEL_PASSWORD: 'x' },
    { REDIS_PREFIX: 'other.installation' },
  ])('take %j', (variables) => {
    expect(refused(variables)).toEqual([]);
  });

  it.each<[NodeJS.ProcessEnv, string[]]>([
    [{ REDIS_PORT: '6379' }, ['REDIS_PORT']],
    [{ REDIS_PASSWORD: 'hunter2' }, ['REDIS_PASSWORD']],
    [{ REDIS_TLS: 'true', REDIS_CA_FILE: 'x' }, ['REDIS_TLS', 'REDIS_CA_FILE']],
    [{ REDIS_CLUSTER: 'true' }, ['REDIS_CLUSTER']],
    [{ REDIS_URL: 'redis://a', REDIS_HOST: 'b', REDIS_PORT: '1' }, ['REDIS_HOST', 'REDIS_PORT']],
    [{ REDIS_URL: 'redis://:hunter2@a', REDIS_PASSWORD: 'hunter2' }, ['REDIS_PASSWORD']],
    [{ REDIS_URL: 'http://:hunter2@a' }, ['REDIS_URL']],
    [{ REDIS_URL: 'hunter2' }, ['REDIS_URL']],
    [{ REDIS_URL: 'redis://:hunter2@a:99999' }, ['REDIS_URL']],
    [{ REDIS_URL: 'redis://:hunt/er2@hunter2' }, ['REDIS_URL']],
    [{ REDIS_URL: 'hunter2', REDIS_CLUSTER: 'true' }, ['REDIS_URL']],
    [{ REDIS_URL: 'redis:///3' }, ['REDIS_URL']],
    [{ REDIS_URL: 'redis://a/hunter2' }, ['REDIS_URL']],
    [{ REDIS_URL: 'redis://:hunter2%@a' }, ['REDIS_URL']],
    [{ REDIS_URL: 'redis://a?tls=true' }, ['REDIS_URL']],
    [{ REDIS_URL: 'redis://a', REDIS_CA_FILE: 'x' }, ['REDIS_CA_FILE']],
    [{ REDIS_URL: 'redis://a/1', REDIS_CLUSTER: 'true' }, ['REDIS_URL']],
    [{ REDIS_HOST: 'a,b' }, ['REDIS_HOST']],
    [{ REDIS_HOST: 'a,' }, ['REDIS_HOST']],
    [{ REDIS_HOST: 'redis://hunter2' }, ['REDIS_HOST']],
    [{ REDIS_HOST: 'a:70000' }, ['REDIS_HOST']],
    [{ REDIS_HOST: 'a', REDIS_PORT: '0' }, ['REDIS_PORT']],
    [{ REDIS_HOST: 'a', REDIS_USERNAME: 'x' }, ['REDIS_PASSWORD']],
    [{ REDIS_HOST: 'a', REDIS_CLUSTER: 'true', REDIS_SENTINEL_NAME: 'x' }, ['REDIS_SENTINEL_NAME']],
    [{ REDIS_HOST: 'a', REDIS_SENTINEL_PASSWORD: 'hunter2' }, ['REDIS_SENTINEL_PASSWORD']],
    [{ REDIS_PREFIX: '{hunter2}' }, ['REDIS_PREFIX']],
  ])('refuse %j by name', (variables, names) => {
    expect(refused(variables)).toEqual(names);
  });
});
