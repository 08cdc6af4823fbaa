import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ProductProcess } from './product-process.js';
import { type RawAnswer, rawRequest, sendRaw } from './raw-http.js';
import { type Account, TestingApp } from './testing-app.js';

/** The longest that one request may keep all others waiting, in milliseconds. */
const LONGEST_STALL_MS = 100;
/** A busy machine stalls by itself now and then, a bomb goes off more often than not. */
const QUIET_ROUNDS = 2;
const ROUNDS = 5;
/** Fits into 16 kB with the rest of the headers. */
const HEADER_BYTES = 15_000;
const JSON_BYTES = 100_000;
const IMAGE = '/api/v1/images/00000000-0000-7000-8000-000000000000';

let app: TestingApp;
let account: Account;
let api: ProductProcess;
let url: string;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  account = await app.register();
  ({ api, url } = await ProductProcess.startWatchedApi({
    ...app.variables,
    TRUST_PROXY: '127.0.0.0/8',
    CORS_ORIGINS: 'https://app.example.com',
    LOG_LEVEL: 'error',
  }));
});

afterAll(async () => {
  await api.kill();
  await app.close();
});

/** Sends requests one after the other while the event loop is watched. */
async function harmless(requests: Buffer[]): Promise<RawAnswer[]> {
  return unstalled(async () => {
    const answers: RawAnswer[] = [];
    for (const request of requests) answers.push(await sendRaw(url, request));
    return answers;
  });
}

/** Does something until it has done so without a stall often enough, a few times at the most. */
async function unstalled<T>(work: () => Promise<T>): Promise<T> {
  const stalls: number[] = [];
  while (stalls.length < ROUNDS) {
    await api.longestStallMs();
    const result = await work();
    stalls.push(Math.round(await api.longestStallMs()));
    if (stalls.filter((ms) => ms < LONGEST_STALL_MS).length === QUIET_ROUNDS) return result;
  }
  throw new Error(`The event loop stood still for ${stalls.join(', ')} ms.`);
}

function expectRefusals(answers: RawAnswer[]): void {
  for (const { status, head, body } of answers) {
    expect({ status: status >= 400 && status < 500 ? '4xx' : status, body }).toEqual({
      status: '4xx',
      body,
    });
    expect(head).toContain('content-type: application/problem+json');
    expect(JSON.parse(body)).toMatchObject({ status, code: expect.any(String) });
  }
}

const fill = (unit: string, bytes: number) =>
  unit.repeat(Math.ceil(bytes / unit.length)).slice(0, bytes);

/** What makes careless expressions go back and forth. */
const REPEATED = [
  ...Array.from('a0 "\\,;=-./%@:_*+[(!\t'),
  ...['a ', 'a,', 'a;', 'a=', ';a=', ';a="', '";', '"a"', 'W/', 'W/"', ',wait', ', ', '\\"', '; '],
  ...['a.', 'a-', '..', './', '0-', '9,', '%2', '%25', 'q=0', 'a/b,', 'é'],
];
const bombs = (bytes: number) => REPEATED.map((unit) => fill(unit, bytes));

describe('a header of nearly 16 kB', () => {
  const headers: [name: string, before: string, method: string, path: string][] = [
    ['authorization', '', 'GET', '/api/v1/images'],
    ['authorization', 'Bearer ', 'GET', '/api/v1/images'],
    ['authorization', 'Bearer eyJhbGciOiJIUzI1NiJ9.', 'GET', '/api/v1/images'],
    ['accept', '', 'GET', `${IMAGE}/file`],
    ['accept', 'image/avif;', 'GET', `${IMAGE}/file`],
    ['accept-encoding', '', 'GET', '/docs'],
    ['access-control-request-headers', '', 'OPTIONS', '/api/v1/images'],
    ['access-control-request-method', '', 'OPTIONS', '/api/v1/images'],
    ['content-type', '', 'POST', '/api/v1/auth/login'],
    ['content-type', 'application/json', 'POST', '/api/v1/auth/login'],
    ['content-type', 'application/json;', 'POST', '/api/v1/auth/login'],
    ['content-type', 'application/json; charset=', 'POST', '/api/v1/auth/login'],
    ['content-type', 'multipart/form-data; boundary=', 'POST', '/api/v1/images/upload'],
    ['content-type', 'multipart/form-data; boundary="', 'POST', '/api/v1/images/upload'],
    ['content-type', 'multipart/form-data;', 'POST', '/api/v1/images/upload'],
    ['cookie', '', 'GET', '/api/v1/images'],
    ['expect', '', 'GET', '/health'],
    ['idempotency-key', '', 'POST', '/api/v1/images/upload'],
    ['if-match', '', 'GET', '/docs/swagger-ui.css'],
    ['if-modified-since', '', 'GET', '/docs/swagger-ui.css'],
    ['if-none-match', '', 'GET', '/docs/swagger-ui.css'],
    ['if-none-match', '"', 'GET', '/docs/swagger-ui.css'],
    ['if-range', '', 'GET', '/docs/swagger-ui.css'],
    ['origin', '', 'GET', '/api/v1/images'],
    ['origin', 'https://', 'GET', '/api/v1/images'],
    ['prefer', '', 'POST', '/api/v1/images/upload'],
    ['prefer', 'wait', 'POST', '/api/v1/images/upload'],
    ['range', 'bytes=', 'GET', '/docs/swagger-ui.css'],
    ['range', '', 'GET', '/docs/swagger-ui.css'],
    ['tus-resumable', '', 'POST', '/api/v1/images/uploads'],
    ['upload-length', '', 'POST', '/api/v1/images/uploads'],
    ['upload-metadata', '', 'POST', '/api/v1/images/uploads'],
    ['upload-metadata', 'title ', 'POST', '/api/v1/images/uploads'],
    ['user-agent', '', 'GET', '/health'],
    ['x-forwarded-for', '', 'GET', '/health'],
    ['x-forwarded-for', fill('127.0.0.1, ', 8_000), 'GET', '/health'],
    ['x-forwarded-host', '', 'GET', '/health'],
    ['x-forwarded-proto', '', 'GET', '/health'],
    ['x-http-method-override', '', 'POST', `/api/v1/images/uploads${IMAGE.slice(14)}`],
    ['x-request-id', '', 'GET', '/nothing'],
  ];

  it.each(headers)('%s: %s… keeps nobody waiting', async (name, before, method, path) => {
    const form = '--b\r\ncontent-disposition: form-data; name="title"\r\n\r\nx\r\n--b--\r\n';
    const requests = bombs(HEADER_BYTES - before.length).map((bomb) =>
      rawRequest(
        method,
        path,
        {
          authorization: `Bearer ${account.token}`,
          ...(path.endsWith('upload') && { 'content-type': 'multipart/form-data; boundary=b' }),
          ...(path.endsWith('login') && { 'content-type': 'application/json' }),
          ...(path.includes('uploads') && { 'tus-resumable': '1.0.0', 'upload-length': '10' }),
          ...(path.includes('.css') && { 'if-none-match': '"x"' }),
          [name]: before + bomb,
        },
        method === 'POST' ? form : undefined,
      ),
    );
    for (const { status, body } of await harmless(requests)) {
      expect({ status: status >= 200 && status < 500, body }).toEqual({ status: true, body });
    }
  });

  it('is refused when it is longer than that, and so are very many', async () => {
    const many = Object.fromEntries(Array.from({ length: 3_000 }, (_, n) => [`x-${n}`, '1']));
    expectRefusals(
      await harmless([
        ...bombs(17_000).map((bomb) => rawRequest('GET', '/health', { 'x-large': `a${bomb}a` })),
        rawRequest('GET', '/health', many),
        rawRequest('GET', '/health', { [fill('a-', 17_000)]: '1' }),
      ]),
    );
  });
});

describe('an address of nearly 16 kB', () => {
  it.each([
    '/',
    '/images/',
    '/api/v1/images/',
    '/api/v1/files/images/',
    '/docs/',
    '/problems/',
    '/api/v1/images?limit=',
    '/api/v1/images?cursor=',
    '/api/v1/images?sort=',
    '/api/v1/images?text=',
    '/api/v1/images?limit=x&',
    `${IMAGE}/file?size=`,
    `${IMAGE}/file?v=`,
    '/api/v1/files/images/a/b.jpg?expires=1&signature=',
  ])('is refused: %s…', async (before) => {
    const units = ['a', '/', '.', '../', '%2e%2e/', '%', '%25', '&', 'a&', 'a=1&', 'limit=1&', '=']
      .concat([
        'a[b]=1&',
        '__proto__=1&',
        ';',
        '+',
        '-',
        '0',
        '1e',
        '_',
        'a/',
        "'",
        '%00',
        '%C3%A9',
      ])
      .map((unit) => fill(unit, HEADER_BYTES - before.length));
    const requests = units.map((bomb) =>
      rawRequest('GET', before + bomb, { authorization: `Bearer ${account.token}` }),
    );
    expectRefusals(await harmless(requests));
  });
});

describe('a body of nearly 100 kB', () => {
  const half = JSON_BYTES / 2;
  const many = (entry: (n: number) => string, count: number) =>
    Array.from({ length: count }, (_, n) => entry(n)).join(',');
  const bodies: [name: string, body: string][] = [
    ['brackets', fill('[', JSON_BYTES)],
    ['deep arrays', fill('[', half) + fill(']', half)],
    ['deep objects', `${fill('{"a":', half)}1${fill('}', half / 5)}`],
    ['a deep e-mail', `{"email":${fill('[', 40_000)}${fill(']', 40_000)},"password":"x"}`],
    ['many keys', `{${many((n) => `"k${n}":1`, 9_000)}}`],
    ['one key many times', `{${many(() => '"email":"a"', 8_000)}}`],
    ['many prototypes', `{${many(() => '"__proto__":{}', 6_000)}}`],
    ['many constructors', `{${many(() => '"constructor":{"prototype":{}}', 3_000)}}`],
    ['a deep prototype', `${fill('{"a":', half)}{"__proto__":1}${fill('}', half / 5)}`],
    ['a prototype in escapes', `{"\\u005f\\u005fproto__":1,${many(() => '"a":"\\u005f"', 6_000)}}`],
    ['blanks behind prototypes', fill(`"__proto__"${fill(' ', 200)}`, JSON_BYTES)],
    ['a blank after each prototype', fill('"__proto__" ', JSON_BYTES)],
    ['blanks', fill(' ', JSON_BYTES)],
    ['a number', fill('1', JSON_BYTES)],
    ['a power', `1e${fill('9', 90_000)}`],
    ['quotes', fill('"', JSON_BYTES)],
    ['backslashes', `"${fill('\\', 90_000)}"`],
    ['an open string', `"${fill('a', 90_000)}`],
  ];
  const paths = [
    ['POST', '/api/v1/auth/login'],
    ['POST', '/api/v1/auth/register'],
    ['PATCH', IMAGE],
  ] as const;

  it.each(bodies)('is refused: %s', async (_name, body) => {
    const headers = {
      authorization: `Bearer ${account.token}`,
      'content-type': 'application/json',
    };
    expect(body.length).toBeLessThanOrEqual(102_400);
    expectRefusals(
      await harmless(paths.map(([method, path]) => rawRequest(method, path, headers, body))),
    );
  });

  it('is refused in each field', async () => {
    const fields = { email: 'a@example.com', password: 'correct horse', name: 'x' };
    const values = bombs(90_000)
      .concat(
        bombs(254),
        bombs(253).map((bomb) => `a${bomb}`),
      )
      .concat(
        bombs(240).map((bomb) => `${bomb}@x`),
        bombs(240).map((bomb) => `x@${bomb}.c!`),
      );
    const requests = Object.keys(fields).flatMap((name) =>
      values
        .filter((value) => name === 'email' || value.length > 200)
        .map((value) =>
          rawRequest(
            'POST',
            '/api/v1/auth/register',
            { 'content-type': 'application/json' },
            JSON.stringify({ ...fields, [name]: value, kind: 'none' }),
          ),
        ),
    );
    expectRefusals(await harmless(requests));
  });
});

describe('a form', () => {
  const post = (boundary: string, body: string | Buffer) =>
    rawRequest(
      'POST',
      '/api/v1/images/upload',
      {
        authorization: `Bearer ${account.token}`,
        'content-type': `multipart/form-data; boundary=${boundary}`,
      },
      body,
    );

  it('with a hostile header in a part is refused', async () => {
    const parts = bombs(HEADER_BYTES).flatMap((bomb) => [
      `content-disposition: ${bomb}\r\n\r\nx`,
      `content-disposition: form-data; ${bomb}\r\n\r\nx`,
      `content-disposition: form-data; name="${bomb}"\r\n\r\nx`,
      `content-disposition: form-data; name="image"; filename="${bomb}"\r\n\r\nx`,
      `content-disposition: form-data; name="image"; filename*=UTF-8''${bomb}\r\n\r\nx`,
      `content-disposition: form-data; name="image"; filename="x"\r\ncontent-type: ${bomb}\r\n\r\nx`,
      `${bomb}: x\r\n\r\nx`,
    ]);
    const requests = parts.map((part) => post('b', `--b\r\n${part}\r\n--b--\r\n`));
    expectRefusals(await harmless(requests));
  }, 120_000);

  it('with a boundary that nearly repeats in the body is refused', async () => {
    const bodies = ['a', '-', '\r\n', '\r\n--', '\r\n--a'].flatMap((unit) =>
      [70, HEADER_BYTES].map((length) => {
        const boundary = fill('a', length - 1);
        const file = 'content-disposition: form-data; name="image"; filename="x"\r\n\r\n';
        return post(`${boundary}b`, `--${boundary}b\r\n${file}${fill(unit, 4_000_000)}`);
      }),
    );
    expectRefusals(await harmless(bodies));
  });
});

describe('a request that is refused while its body still comes', () => {
  it.each([
    ['a form', '/api/v1/images/upload', 'multipart/form-data; boundary=b'],
    ['JSON', '/api/v1/auth/login', 'text/plain'],
  ])(
    'is answered although its client reads last, and wants no other answer: %s',
    async (_what, path, type) => {
      const body = Buffer.alloc(100_000, 'x');
      const whole = rawRequest('POST', path, { 'content-type': type }, body);
      const socket = connect(Number(new URL(app.url).port), '127.0.0.1').pause();
      socket.on('error', () => undefined);
      socket.write(whole.subarray(0, -90_000));
      await sleep(300);
      for (let at = whole.length - 90_000; at < whole.length; at += 10_000) {
        socket.write(whole.subarray(at, at + 10_000));
        await sleep(20);
      }
      const answer = await text(socket);
      expect(answer).toMatch(/^HTTP\/1.1 4\d\d /);
      expect(answer).toMatch(/connection: close/i);
    },
  );

  it('is closed soon when the rest never comes', async () => {
    const head = rawRequest('POST', '/api/v1/auth/login', {
      'content-type': 'text/plain',
      'content-length': '1000',
    });
    const startedAt = performance.now();
    expect((await sendRaw(app.url, head)).status).toBe(415);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });
});

describe('sign-ins side by side', () => {
  it('leave the event loop free, although each password takes long to check', async () => {
    const body = JSON.stringify({ email: account.email, password: fill('a', 128) });
    const headers = { 'content-type': 'application/json' };
    const request = rawRequest('POST', '/api/v1/auth/login', headers, body);
    const answers = await unstalled(() =>
      Promise.all(Array.from({ length: 40 }, () => sendRaw(url, request))),
    );
    for (const { status } of answers) expect(status).toBe(401);
  });
});
