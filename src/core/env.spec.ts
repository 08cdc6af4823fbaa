import { describe, expect, it } from '@jest/globals';
import { envVariables, InvalidEnvironment, readEnv } from './env.js';
import { envDocs } from './env/documented.js';
import { envExample } from './env/example.js';

const STRONG = ['q8Zt2Vn6Lx4Rb9Kd1Ws7Yf3Hj5Mc0Pg-A', 'Tz7Bw1Qk9Xe5Ru3Yn8Gc6Lm2Hd4Vs0Jf-B'] as const;
const REQUIRED = {
  DATABASE_URL: 'postgresql://app@localhost/atelier',
  APP_SECRET: STRONG[0],
  JWT_SECRET: STRONG[1],
};

/** The problems of an environment, or none. */
function problemsOf(changes: NodeJS.ProcessEnv): readonly string[] {
  try {
    readEnv({ ...REQUIRED, ...changes });
    return [];
  } catch (error) {
    if (!(error instanceof InvalidEnvironment)) throw error;
    return error.problems;
  }
}

describe('the environment', () => {
  it('needs a database and two secrets, and has defaults for the rest', () => {
    const env = readEnv(REQUIRED);
    expect(env).toMatchObject({
      NODE_ENV: 'development',
      HOST: '127.0.0.1',
      PORT: 3000,
      PUBLIC_URL: 'http://localhost:3000',
      PASSWORD_MIN_LENGTH: 6,
      UPLOAD_MAX_BYTES: 20_971_520,
      STORAGE_QUOTA_BYTES: 5_368_709_120,
      IMAGE_MAX_PIXELS: 50_000_000,
      JSON_MAX_BYTES: 102_400,
      HEADERS_MAX_BYTES: 16_384,
      CORS_ORIGINS: [],
    });
    expect(Object.isFrozen(env)).toBe(true);
    expect(() => readEnv({})).toThrow(InvalidEnvironment);
  });

  it('counts an empty variable as unset', () => {
    expect(readEnv({ ...REQUIRED, PORT: '', PUBLIC_URL: '' }).PORT).toBe(3000);
    expect(problemsOf({ DATABASE_URL: '' })).toEqual(['DATABASE_URL is required']);
  });

  it('names every wrong variable and no value', () => {
    const problems = problemsOf({ PORT: '70000', HEADERS_MAX_BYTES: 'x', LOG_LEVEL: 'loud' });
    expect(problems.map((problem) => problem.split(' ')[0])).toEqual([
      'LOG_LEVEL',
      'PORT',
      'HEADERS_MAX_BYTES',
    ]);
    expect(problems.join()).not.toMatch(/70000|loud/);
  });

  it.each([
    ['too short', 'short'],
    ['repeated', 'a'.repeat(40)],
    ['from an example', 'change-me-Zt2Vn6Lx4Rb9Kd1Ws7Yf3Hj5Mc0Pg'],
  ])('refuses a secret in production that is %s', (_name, secret) => {
    const problems = problemsOf({ NODE_ENV: 'production', JWT_SECRET: secret });
    expect(problems).toEqual([expect.stringMatching(/^JWT_SECRET /)]);
    expect(problems[0]).not.toContain(secret);
  });

  it('takes strong secrets in production, and two different ones', () => {
    expect(problemsOf({ NODE_ENV: 'production' })).toEqual([]);
    expect(problemsOf({ NODE_ENV: 'production', JWT_SECRET: STRONG[0] })).toEqual([
      'JWT_SECRET must differ from APP_SECRET',
    ]);
    expect(readEnv({ ...REQUIRED, NODE_ENV: 'production' }).PASSWORD_MIN_LENGTH).toBe(8);
  });

  it('takes former secrets that were as good as the present one', () => {
    const JWT_PREVIOUS_SECRETS = `${STRONG[0]}, ${'x'.repeat(32)}`;
    expect(readEnv({ ...REQUIRED, JWT_PREVIOUS_SECRETS }).JWT_PREVIOUS_SECRETS).toEqual([
      STRONG[0],
      'x'.repeat(32),
    ]);
    expect(problemsOf({ JWT_PREVIOUS_SECRETS: `${STRONG[0]},short` })).toEqual([
      'JWT_PREVIOUS_SECRETS must be secrets of at least 32 bytes each, separated by commas',
    ]);
  });

  it('limits rates unless it is told not to, which production is not', () => {
    expect(readEnv(REQUIRED).RATE_LIMITS).toBe('on');
    expect(problemsOf({ RATE_LIMITS: 'off' })).toEqual([]);
    expect(problemsOf({ RATE_LIMITS: 'off', NODE_ENV: 'production' })).toEqual([
      'RATE_LIMITS must be on in production',
    ]);
  });

  it('hashes as many passwords at once as there are cores, and no more than three', () => {
    expect([1, 2, 3]).toContain(readEnv(REQUIRED).PASSWORD_HASHES_AT_ONCE);
    expect(readEnv({ ...REQUIRED, PASSWORD_HASHES_AT_ONCE: '5' }).PASSWORD_HASHES_AT_ONCE).toBe(5);
  });

  it.each([
    [{ S3_BUCKET: 'b12' }, 'S3_REGION is required without S3_ENDPOINT'],
    [{ S3_ENDPOINT: 'https://s3.example' }, 'S3_BUCKET is required with S3_ENDPOINT'],
    [{ S3_ACCESS_KEY_ID: 'x' }, 'S3_BUCKET is required with S3_ACCESS_KEY_ID'],
    [{ STORAGE_REDIRECT: 'true' }, 'S3_BUCKET is required with STORAGE_REDIRECT'],
    [
      { S3_BUCKET: 'b12', S3_REGION: 'r', S3_PUBLIC_BASE_URL: 'https://cdn.example' },
      'STORAGE_REDIRECT must be true with S3_PUBLIC_BASE_URL',
    ],
    [
      { S3_BUCKET: 'b12', S3_REGION: 'r', S3_ACCESS_KEY_ID: 'x' },
      'S3_SECRET_ACCESS_KEY is required with S3_ACCESS_KEY_ID',
    ],
    [
      { S3_BUCKET: 'b12', S3_REGION: 'r', S3_SECRET_ACCESS_KEY: 'x' },
      'S3_ACCESS_KEY_ID is required with S3_SECRET_ACCESS_KEY',
    ],
  ])('refuses an object store that is configured by half: %j', (variables, problem) => {
    expect(problemsOf(variables)).toEqual([problem]);
  });

  it('takes an object store with keys of its own, and with those of the machine', () => {
    expect(problemsOf({ S3_BUCKET: 'b12', S3_REGION: 'eu-central-1' })).toEqual([]);
    const keys = { S3_ACCESS_KEY_ID: 'x', S3_SECRET_ACCESS_KEY: 'y', S3_SESSION_TOKEN: 'z' };
    expect(problemsOf({ S3_BUCKET: 'b12', S3_ENDPOINT: 'https://s3.example', ...keys })).toEqual(
      [],
    );
  });

  it.each([
    [{ GEMINI_IMAGE_MODEL: 'x' }, 'GEMINI_API_KEY is required with GEMINI_IMAGE_MODEL'],
    [
      { GENERATION_CONCURRENCY: '8', GENERATION_RATE_PER_MINUTE: '7' },
      'GENERATION_RATE_PER_MINUTE must not be less than GENERATION_CONCURRENCY',
    ],
    [{ GEMINI_BASE_URL: 'https://a.b' }, 'GEMINI_API_KEY is required with GEMINI_BASE_URL'],
    [{ GEMINI_PRICE_TEXT: '1' }, 'GEMINI_API_KEY is required with GEMINI_PRICE_TEXT'],
    [
      { GEMINI_API_KEY: 'k', GEMINI_PRICE_INPUT: '1', GEMINI_PRICE_TEXT: '1' },
      'GEMINI_PRICE_PICTURE is required with GEMINI_PRICE_INPUT, GEMINI_PRICE_TEXT',
    ],
    [
      { GEMINI_API_KEY: 'k', GEMINI_BASE_URL: 'http://a.b' },
      'GEMINI_BASE_URL must be an https:// URL, or one of this machine',
    ],
    [
      { GEMINI_API_KEY: 'hunter2 ' },
      'GEMINI_API_KEY must be visible ASCII characters without blanks',
    ],
    [
      { GEMINI_API_KEY: 'k', GEMINI_IMAGE_MODEL: '../files' },
      'GEMINI_IMAGE_MODEL must be letters, digits, dots, hyphens and underscores',
    ],
  ])('refuses a model that is configured by half, or wrongly: %j', (variables, problem) => {
    expect(problemsOf(variables)).toEqual([problem]);
  });

  it('takes a model by its key alone, and asks it at Google', () => {
    expect(readEnv({ ...REQUIRED, GEMINI_API_KEY: 'k' })).toMatchObject({
      GEMINI_IMAGE_MODEL: 'gemini-nano-banana-2.1',
      GEMINI_BASE_URL: 'https://generativelanguage.googleapis.com',
    });
  });

  it.each([
    'https://a.b/?x',
    'https://a.b/#y',
    'https://a.b?',
    'https://a.b/c#',
    'https://user:hunter2@a.b',
    'https://@a.b',
    'https://a.b/"><script>',
    'https://a.b/\\c',
    'https://a.b/c d',
    'https://a.b/{c}',
    'https:a.b',
    'ftp://a.b',
  ])('refuses %s as an address that others are made from', (url) => {
    const [problem, ...others] = problemsOf({ PUBLIC_URL: url });
    expect([problem, others]).toEqual([expect.stringMatching(/^PUBLIC_URL must be an http/), []]);
    expect(problem).not.toContain('hunter2');
    expect(problemsOf({ OTEL_EXPORTER_OTLP_ENDPOINT: url })).toHaveLength(1);
  });

  it.each([
    'http://localhost:3000',
    'https://a.b/',
    'https://a.b/c/d-e_f.~%20',
    "http://[::1]:3000/c;d=1,2/!$&'()*+:@",
  ])('takes %s as such an address', (url) => {
    expect(readEnv({ ...REQUIRED, PUBLIC_URL: url }).PUBLIC_URL).toBe(url.replace(/\/$/, ''));
  });

  it.each(['https://a.example/', 'https://a.example/path', 'a.example', '*'])(
    'refuses %s as an origin',
    (origin) => {
      expect(problemsOf({ CORS_ORIGINS: `https://ok.example,${origin}` })).toHaveLength(1);
    },
  );

  it.each(['10.0.0.0/8', '::1', '127.0.0.1, fd00::/8'])('takes %s as proxies', (networks) => {
    expect(problemsOf({ TRUST_PROXY: networks })).toEqual([]);
  });

  it('reads the headers of the collector as OpenTelemetry writes them', () => {
    const headersOf = (text: string) =>
      readEnv({ ...REQUIRED, OTEL_EXPORTER_OTLP_HEADERS: text }).OTEL_EXPORTER_OTLP_HEADERS;
    expect(headersOf('Authorization=Bearer%20x==, x-tenant = a%2Cb')).toEqual({
      authorization: 'Bearer x==',
      'x-tenant': 'a,b',
    });
    expect(headersOf('')).toBeUndefined();
  });

  it.each(['authorization', '=x', 'a b=x', 'a=%zz', 'a=%0d%0ax-evil:1', 'a=1,,b=2'])(
    'refuses %j as headers, and does not show them',
    (headers) => {
      expect(problemsOf({ OTEL_EXPORTER_OTLP_HEADERS: headers })).toEqual([
        'OTEL_EXPORTER_OTLP_HEADERS must be name=value, separated by commas',
      ]);
    },
  );

  it('takes any ADMIN_TOKEN to try things out, and in production one that is hard to guess', () => {
    const production = { NODE_ENV: 'production', JWT_SECRET: STRONG[1] };
    const strong = 'Kd7Wq2Zt9Xn4Rb6Lm1Vs8Yf3Hj5Pc0Gg';
    expect(problemsOf({ ADMIN_TOKEN: 'short' })).toEqual([]);
    expect(problemsOf({ ...production, ADMIN_TOKEN: strong })).toEqual([]);
    expect(problemsOf({ ...production, ADMIN_TOKEN: strong.slice(1) })).toEqual([
      'ADMIN_TOKEN must be at least 32 characters in production',
    ]);
    expect(problemsOf({ ...production, ADMIN_TOKEN: 'x'.repeat(32) })).toEqual([
      'ADMIN_TOKEN is too easy to guess',
    ]);
    expect(problemsOf({ ADMIN_TOKEN: strong, METRICS_TOKEN: strong })).toEqual([
      'ADMIN_TOKEN must differ from all other secrets',
    ]);
    // It could not be told from the tokens of users.
    expect(problemsOf({ ADMIN_TOKEN: 'a.b.c' })).toEqual(['ADMIN_TOKEN must not look like a JWT']);
    expect(problemsOf({ ADMIN_TOKEN: 'a b' })).toHaveLength(1);
  });

  it.each([
    ['METRICS_TOKEN', 'too-short'],
    ['METRICS_TOKEN', 'no blanks within a token'],
    ['WORKER_METRICS_PORT', '65536'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'localhost:4318'],
    ['OTEL_TRACES_SAMPLER_ARG', '1.5'],
    ['OTEL_TRACES_SAMPLER_ARG', 'half'],
  ])('refuses a %s that is %j', (name, value) => {
    const [problem] = problemsOf({ [name]: value });
    expect(problem).toMatch(new RegExp(`^${name} must be`));
    expect(problem).not.toContain(value);
  });

  it.each(['1e3', '0x1000', '0b1', '+5000', '5000.0', '5_000', '5,000', '٥٠٠٠', '5 000', ' ', 'x'])(
    'refuses %j as a whole number',
    (value) => {
      expect(problemsOf({ PORT: value })).toEqual(['PORT must be a whole number']);
      expect(problemsOf({ IMAGE_RETENTION_DAYS: value })).toHaveLength(1);
    },
  );

  it.each(['5000', ' 5000 ', '05000'])('takes %j as a whole number', (value) => {
    expect(readEnv({ ...REQUIRED, PORT: value }).PORT).toBe(5000);
  });

  it('tells the bounds of a number', () => {
    expect(problemsOf({ PORT: '-1' })).toEqual(['PORT must be at least 0']);
    expect(problemsOf({ PORT: '65536' })).toEqual(['PORT must be at most 65535']);
    expect(problemsOf({ PORT: '9'.repeat(400) })).toEqual(['PORT must be at most 65535']);
  });

  it('takes parts of one in plain decimals alone', () => {
    const name = 'OTEL_TRACES_SAMPLER_ARG';
    for (const value of ['0.25', '.25', ' 0.25']) {
      expect(readEnv({ ...REQUIRED, [name]: value })[name]).toBe(0.25);
    }
    for (const value of ['25e-2', '0x0', '1.', '-0.1', ' ']) {
      expect([value, problemsOf({ [name]: value })]).toEqual([value, [expect.any(String)]]);
    }
  });

  it('refuses a way out that leaves no time to answer', () => {
    const refusal = ['SHUTDOWN_LEAVE_MS must be less than SHUTDOWN_TIMEOUT_MS'];
    expect(problemsOf({ SHUTDOWN_TIMEOUT_MS: '2000' })).toEqual(refusal);
    expect(problemsOf({ SHUTDOWN_LEAVE_MS: '12001' })).toEqual(refusal);
    expect(problemsOf({ SHUTDOWN_TIMEOUT_MS: '2001' })).toEqual([]);
  });

  it.each([
    ['postgres', 'DATABASE_URL'],
    ['postgres', 'DATABASE_DIRECT_URL'],
    ['postgres', 'MIGRATION_DATABASE_URL'],
    ['postgres', 'DATABASE_REPLICA_URLS'],
    ['redis', 'REDIS_URL'],
    ['https', 'S3_ENDPOINT'],
    ['https', 'S3_PUBLIC_BASE_URL'],
    ['https', 'PUBLIC_URL'],
    ['https', 'OTEL_EXPORTER_OTLP_ENDPOINT'],
    ['https', 'APP_URL'],
  ])('refuses by its name, and does not show, what is no %s address in %s', (scheme, name) => {
    const store = { S3_BUCKET: 'b12', S3_REGION: 'r' };
    for (const value of ['hunter2', `${scheme}://h:99999`, `${scheme}://u:hunt/er2@h`]) {
      const problems = problemsOf({ ...store, [name]: value });
      expect(problems).toEqual([expect.stringMatching(new RegExp(`^${name} must be `))]);
      expect(problems[0]).not.toMatch(/hunt|99999/);
    }
  });

  it.each(['10.0.0.0/33', 'true', '1', '10.0.0', '0.0.0.0/0', '10.0.0.0/8/9', '::/00'])(
    'refuses %s as proxies',
    (networks) => {
      expect(problemsOf({ TRUST_PROXY: networks })).toHaveLength(1);
    },
  );
});

describe('the variables of a store', () => {
  it.each([
    ['S3_BUCKET', ['AB_c', 'pictures/x', '?x=1', 'a..b', '-ab', 'ab']],
    ['S3_REGION', ['eu west', 'auto\r\nx: y']],
    ['S3_ACCESS_KEY_ID', ['a b', 'ä']],
    ['S3_SESSION_TOKEN', ['x\ty']],
  ])('are refused by their names when they cannot be right: %s', (name, values) => {
    const keys = { S3_ACCESS_KEY_ID: 'key', S3_SECRET_ACCESS_KEY: 'secret' };
    for (const value of values) {
      const problems = problemsOf({ S3_BUCKET: 'b12', S3_REGION: 'r', ...keys, [name]: value });
      expect(problems).toEqual([expect.stringMatching(new RegExp(`^${name} must be `))]);
    }
  });
});

describe('the variables of mail', () => {
  const SMTP_URL = 'smtps://user:p%40ss@smtp.example.com';
  const MAIL_FROM = 'mail@example.com';

  it('go together', () => {
    expect(problemsOf({ SMTP_URL, MAIL_FROM })).toEqual([]);
    expect(problemsOf({ SMTP_URL })).toEqual(['MAIL_FROM is required with SMTP_URL']);
    expect(problemsOf({ MAIL_FROM })).toEqual(['SMTP_URL is required with MAIL_FROM']);
  });

  it.each([
    'smtp.example.com:587',
    'http://smtp.example.com',
    'smtp://',
    'smtp://smtp.example.com:99999',
    'smtp://smtp.example.com/path',
    'smtp://smtp.example.com?tls.rejectUnauthorized=false',
    'smtp://hunter2@smtp.example.com',
    'smtp://:hunter2@smtp.example.com',
    'smtp://user:hunter2%@smtp.example.com',
  ])('do not take %s as a mail server, and do not show it', (url) => {
    const problems = problemsOf({ SMTP_URL: url, MAIL_FROM });
    expect(problems).toEqual([expect.stringMatching(/^SMTP_URL must /)]);
    expect(problems[0]).not.toMatch(/hunter2|99999/);
  });

  it.each([
    ['mail@example.com', '', 'mail@example.com'],
    ['<mail@example.com>', '', 'mail@example.com'],
    ['Atelier <mail@example.com>', 'Atelier', 'mail@example.com'],
    ['"Ana, S.L." <a.b+c@example.com>', 'Ana, S.L.', 'a.b+c@example.com'],
    ['Estudio Ñandú <mail@example.com>', 'Estudio Ñandú', 'mail@example.com'],
  ])('take %s as who mail is from', (from, name, address) => {
    const { MAIL_FROM: sender } = readEnv({ ...REQUIRED, SMTP_URL, MAIL_FROM: from });
    expect(sender).toEqual({ name, address });
  });

  it.each([
    'Atelier',
    'mail@',
    'a@example.com, b@example.com',
    'A <a@example.com>, B <b@example.com>',
    'A <a@example.com> B',
    'A\r\nBcc: x <a@example.com>',
    '"A\nB" <a@example.com>',
    'a@example.com\nBcc: b@example.com',
  ])('do not take %j as who mail is from', (from) => {
    expect(problemsOf({ SMTP_URL, MAIL_FROM: from })).toEqual([
      expect.stringMatching(/^MAIL_FROM must be an address/),
    ]);
  });

  it('have links lead to PUBLIC_URL unless there is an app', () => {
    const PUBLIC_URL = 'https://api.example.com';
    expect(readEnv({ ...REQUIRED, PUBLIC_URL }).APP_URL).toBe(PUBLIC_URL);
    const APP_URL = 'https://app.example.com/studio/';
    expect(readEnv({ ...REQUIRED, PUBLIC_URL, APP_URL }).APP_URL).toBe(
      'https://app.example.com/studio',
    );
  });
});

describe('the address of a database', () => {
  it.each(['banana', '', 'REQUIRE'])('is refused with the sslmode %p', (mode) => {
    expect(problemsOf({ DATABASE_URL: `postgres://a@b/c?sslmode=${mode}` })).toEqual([
      expect.stringMatching(/^DATABASE_URL must have an sslmode of disable, /),
    ]);
  });
});

describe('.env.example', () => {
  it('describes every variable once', () => {
    const text = envExample();
    for (const [name, schema] of Object.entries(envVariables)) {
      expect([name, envDocs.get(schema)?.help]).toEqual([name, expect.stringMatching(/\w/)]);
      expect(text.match(new RegExp(`^#?${name}=`, 'gm'))).toHaveLength(1);
    }
  });
});

describe('the variables of Google', () => {
  const client = { GOOGLE_CLIENT_ID: 'id', GOOGLE_CLIENT_SECRET: 'hunter2' };

  it('go together', () => {
    const { GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET } = client;
    expect(problemsOf(client)).toEqual([]);
    expect(problemsOf({ GOOGLE_CLIENT_ID })).toEqual([
      'GOOGLE_CLIENT_SECRET is required with GOOGLE_CLIENT_ID',
    ]);
    expect(problemsOf({ GOOGLE_CLIENT_SECRET })).toEqual([
      'GOOGLE_CLIENT_ID is required with GOOGLE_CLIENT_SECRET',
    ]);
    expect(problemsOf({ GOOGLE_CALLBACK_URL: 'https://x', GOOGLE_MOBILE_CLIENT_IDS: 'a' })).toEqual(
      ['GOOGLE_CLIENT_ID is required with GOOGLE_CALLBACK_URL, GOOGLE_MOBILE_CLIENT_IDS'],
    );
  });

  it('have Google send people back to the API, unless they say otherwise', () => {
    const callbackOf = (changes: NodeJS.ProcessEnv) =>
      readEnv({ ...REQUIRED, ...client, ...changes }).GOOGLE_CALLBACK_URL;
    expect(callbackOf({ PUBLIC_URL: 'https://api.example.com/' })).toBe(
      'https://api.example.com/api/v1/auth/google/callback',
    );
    expect(callbackOf({ GOOGLE_CALLBACK_URL: 'https://app.example.com/back' })).toBe(
      'https://app.example.com/back',
    );
  });

  it('name several clients of apps', () => {
    const { GOOGLE_MOBILE_CLIENT_IDS } = readEnv({
      ...{ ...REQUIRED, ...client },
      GOOGLE_MOBILE_CLIENT_IDS: ' ios, android ,',
    });
    expect(GOOGLE_MOBILE_CLIENT_IDS).toEqual(['ios', 'android']);
  });

  it.each([
    ['GOOGLE_TOKEN_URL', 'http://gateway.example/token'],
    ['GOOGLE_TOKEN_URL', 'http://localhost.example/token'],
    ['GOOGLE_TOKEN_URL', 'http://127.0.0.1.example/token'],
    ['GOOGLE_KEYS_URL', 'file:///etc/keys'],
    ['GOOGLE_AUTH_URL', 'https://user:hunter2@gateway.example'],
    ['GOOGLE_USERINFO_URL', 'https://gateway.example/me'],
    ['GOOGLE_CLIENT_ID', 'hunter2 hunter2'],
    ['GOOGLE_MOBILE_CLIENT_IDS', 'ios,hunter2 hunter2'],
  ])('are refused by their names when they cannot be right: %s', (name, value) => {
    const problems = problemsOf({ ...client, [name]: value });
    expect(problems).toEqual([expect.stringMatching(new RegExp(`^${name} must `))]);
    expect(problems.join()).not.toContain('hunter2');
  });

  it.each(['http://localhost:8080/keys', 'http://127.1.2.3/keys', 'http://[::1]:9/keys'])(
    'may lead to this machine: %s',
    (url) => {
      expect(problemsOf({ ...client, GOOGLE_KEYS_URL: url })).toEqual([]);
    },
  );
});
