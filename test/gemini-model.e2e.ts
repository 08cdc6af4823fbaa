import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { readEnv } from '../src/core/env.js';
import { describeError } from '../src/core/problems/error-description.js';
import type { PaintRequest } from '../src/generation/models/image-model.js';
import { ImageModels } from '../src/generation/models/image-models.js';
import { ModelRefusal, ModelUnavailable } from '../src/generation/models/model-errors.js';
import { widePng } from './bombs.js';
import { findSecret } from './canaries.js';
import { productVariables } from './environment.js';
import { type GeminiAnswer, GeminiServer, pictureOf } from './gemini-server.js';
import { makePicture } from './pictures.js';

const REQUEST: PaintRequest = {
  prompt: 'A lighthouse & its <keeper>',
  aspectRatio: '16:9',
  size: '1K',
  seed: 7,
  style: null,
  sources: [],
};

let gemini: GeminiServer;
/** What the operator is told of. */
let alarms: unknown[];

beforeAll(async () => {
  gemini = await GeminiServer.start();
});

afterAll(() => gemini.close());

beforeEach(() => {
  alarms = [];
  const heard = (...message: unknown[]) => alarms.push(message);
  Logger.overrideLogger({ log: heard, warn: heard, error: heard, fatal: heard });
});

afterEach(() => {
  Logger.overrideLogger(false);
  gemini.next.length = 0;
  gemini.requests.length = 0;
});

/** The model as a process with these variables would ask it. */
function model(variables: Record<string, string> = {}) {
  const urls = { ownerUrl: 'postgres://localhost/a', appUrl: 'postgres://localhost/a' };
  const all = { ...productVariables(urls, '/tmp'), ...gemini.variables, ...variables };
  return new ImageModels(readEnv(all)).current();
}

/** Asks for a picture. @param answers what Gemini does, attempt by attempt */
function paint(...answers: GeminiAnswer[]) {
  gemini.next.push(...answers);
  return model().paint(REQUEST, new AbortController().signal);
}

type ModelFailure = Error & { code: string; retryAfterMs?: number };

/** How asking for a picture fails. */
async function failureOf(...answers: GeminiAnswer[]): Promise<ModelFailure> {
  const painted = await paint(...answers).catch((error: unknown) => error);
  expect(painted).toBeInstanceOf(Error);
  return painted as ModelFailure;
}

describe('Gemini', () => {
  it('is asked for one picture of the ratio, size and seed', async () => {
    const { bytes } = await paint();
    expect(bytes).toEqual(gemini.picture);
    expect(gemini.requests).toHaveLength(1);
    const [{ model, body } = {}] = gemini.requests;
    expect(model).toBe('gemini-nano-banana-2.1');
    expect(body).toMatchObject({
      contents: [{ role: 'user', parts: [{ text: REQUEST.prompt }] }],
      generationConfig: {
        responseModalities: ['IMAGE'],
        imageConfig: { aspectRatio: '16:9', imageSize: '1K' },
        seed: 7,
      },
    });
  });

  it('is shown the source pictures, and told of the style', async () => {
    const source = await makePicture({ width: 40, height: 30, format: 'webp' });
    const sources = [{ bytes: source, mimeType: 'image/webp' }];
    const request: PaintRequest = { ...REQUEST, style: 'watercolour', size: '4K', sources };
    await model().paint(request, new AbortController().signal);
    const [{ body } = {}] = gemini.requests;
    const [first, last] = body?.contents[0]?.parts ?? [];
    expect(first).toEqual({
      inlineData: { mimeType: 'image/webp', data: source.toString('base64') },
    });
    expect(last?.['text']).toMatch(/^A lighthouse & its <keeper>\n\n.*watercolour/);
  });

  it('may write and think before it paints', async () => {
    const draft = await makePicture({ width: 20, height: 20 });
    const parts = [
      { text: 'First, the light.', thought: true },
      { ...pictureOf(draft), thought: true },
      { text: 'Here it is:' },
      pictureOf(gemini.picture),
    ];
    expect((await paint({ parts })).bytes).toEqual(gemini.picture);
  });

  it.each([
    ['a JPEG named PNG', () => makePicture({ format: 'jpeg' })],
    ['corrupt bytes', async () => Buffer.from('no picture at all')],
    ['a decompression bomb', async () => widePng(30_000, 30_000)],
  ])('hands on %s as it is, for whoever decodes it safely', async (_name, make) => {
    const bytes = await make();
    expect((await paint({ parts: [pictureOf(bytes)] })).bytes).toEqual(bytes);
  });

  it('tells what it took, and what that costs only by prices of the operator', async () => {
    const usage = { input: 9, text: 71, picture: 1_120 };
    expect(await paint()).toMatchObject({ usage, costMicros: null });
    const prices = {
      GEMINI_PRICE_INPUT: '0.5',
      GEMINI_PRICE_TEXT: '3',
      GEMINI_PRICE_PICTURE: '60',
    };
    const priced = model(prices);
    const { signal } = new AbortController();
    // 9 × 0.5 + 71 × 3 + 1,120 × 60
    expect((await priced.paint(REQUEST, signal)).costMicros).toBe(67_418);
    gemini.next.push({ blockReason: 'SAFETY', usage: { promptTokenCount: 100 } });
    await expect(priced.paint(REQUEST, signal)).rejects.toMatchObject({
      bill: { usage: { input: 100, text: 0, picture: 0 }, costMicros: 50 },
    });
  });

  it.each([{ usage: { promptTokenCount: 'many' } }, { usage: {} }])(
    'may send figures that are none: %j',
    async ({ usage }) => {
      const { bytes } = await paint({ parts: [pictureOf(gemini.picture)], usage });
      expect(bytes).toEqual(gemini.picture);
    },
  );
});

describe('an answer of 200 without a picture', () => {
  it.each([
    ['SAFETY', 'safety'],
    ['IMAGE_SAFETY', 'safety'],
    ['JAILBREAK', 'safety'],
    ['BLOCKLIST', 'prohibited'],
    ['PROHIBITED_CONTENT', 'prohibited'],
    ['OTHER', 'other'],
    ['BLOCKED_REASON_UNSPECIFIED', 'other'],
    ['A_REASON_OF_NEXT_YEAR', 'other'],
  ])('is blocked for a prompt that is %s: %s', async (blockReason, reason) => {
    const refusal = await failureOf({ blockReason });
    expect(refusal).toBeInstanceOf(ModelRefusal);
    expect(refusal).toMatchObject({ code: 'blocked', reason });
  });

  it.each([
    ['SAFETY', 'safety'],
    ['IMAGE_SAFETY', 'safety'],
    ['PROHIBITED_CONTENT', 'prohibited'],
    ['IMAGE_PROHIBITED_CONTENT', 'prohibited'],
    ['BLOCKLIST', 'prohibited'],
    ['RECITATION', 'recitation'],
    ['IMAGE_RECITATION', 'recitation'],
    ['SPII', 'personal-data'],
  ])('is blocked for a picture that is %s: %s', async (finishReason, reason) => {
    expect(await failureOf({ finishReason })).toMatchObject({ code: 'blocked', reason });
  });

  it.each([
    'STOP',
    'NO_IMAGE',
    'IMAGE_OTHER',
    'OTHER',
    'MAX_TOKENS',
    'LANGUAGE',
    'FINISH_REASON_UNSPECIFIED',
    'A_REASON_OF_NEXT_YEAR',
    'constructor',
  ])('is no-image for %s', async (finishReason) => {
    const refusal = await failureOf({ finishReason });
    expect(refusal).toBeInstanceOf(ModelRefusal);
    expect(refusal).toMatchObject({ code: 'no-image', reason: undefined });
  });

  it.each<[string, GeminiAnswer]>([
    ['of text only', { parts: [{ text: 'I would rather not.' }] }],
    ['of thoughts only', { parts: [{ text: 'Hm.', thought: true }] }],
    ['of no parts', { parts: [] }],
    ['of no candidates', { body: '{"candidates":[]}' }],
    ['of nothing', { body: '{}' }],
    ['of nulls', { body: '{"candidates":[{"content":null,"finishReason":null}]}' }],
  ])('is no-image when it is %s', async (_name, answer) => {
    expect(await failureOf(answer)).toMatchObject({ code: 'no-image' });
  });

  it('is bad-output when the picture has no bytes', async () => {
    const parts = [pictureOf(Buffer.alloc(0))];
    expect(await failureOf({ parts })).toMatchObject({ code: 'bad-output' });
  });

  it('is blocked also when something came with it', async () => {
    const parts = [pictureOf(gemini.picture)];
    const refusal = await failureOf({ parts, finishReason: 'IMAGE_SAFETY' });
    expect(refusal).toMatchObject({ code: 'blocked', reason: 'safety' });
  });
});

describe('a Gemini that is in trouble', () => {
  const retryInfo = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '37.5s' };
  const exhausted = { status: 429, reason: 'RESOURCE_EXHAUSTED' };

  const byAnswer = (...delays: unknown[]): GeminiAnswer => ({
    ...exhausted,
    details: delays.map((retryDelay) => ({ ...retryInfo, retryDelay })),
  });
  const byHeader = (after: string): GeminiAnswer => ({
    ...exhausted,
    headers: { 'retry-after': after },
  });
  const aDay = 24 * 60 * 60 * 1_000;

  it.each<[string, GeminiAnswer, number | undefined]>([
    ['by its answer', { ...exhausted, details: [{ violations: [] }, retryInfo] }, 37_500],
    ['by a header', byHeader('12'), 12_000],
    [
      'by its answer before a header',
      { ...exhausted, details: [{ retryDelay: '3s' }], headers: { 'retry-after': '9' } },
      3_000,
    ],
    ['or does not', exhausted, undefined],
    ['by its answer, in part', byAnswer(null, {}, 'soon', '0.0001s'), 1],
    ['but not for less than nothing', byAnswer('-5s'), undefined],
    ['but not at once', byAnswer('0s'), undefined],
    ['but a day at the most', byAnswer(`${'9'.repeat(400)}s`), aDay],
    ['or says nonsense', byAnswer('soon', 'NaNs', 'Infinitys', '1e9s', 7, ''), undefined],
    ['by a header, a day at the most', byHeader('9'.repeat(400)), aDay],
    ['by a header, not before now', byHeader('Sun, 06 Nov 1994 08:49:37 GMT'), undefined],
    ['by a header, not in ages', byHeader('Fri, 31 Dec 9999 23:59:59 GMT'), aDay],
    ['or has a header of nonsense', byHeader('in a while'), undefined],
    ['or has a header below nothing', byHeader('-5'), undefined],
    ['or has a header of none', byHeader('NaN'), undefined],
    ['or has a header that says nothing', byHeader(''), undefined],
  ])('and has had enough tells for how long, %s', async (_name, answer, retryAfterMs) => {
    const error = await failureOf(answer);
    expect(error).toBeInstanceOf(ModelUnavailable);
    expect(error).toMatchObject({ code: 'rate-limited' });
    expect(error.retryAfterMs).toBe(retryAfterMs);
    expect(alarms).toEqual([]);
  });

  it.each<[string, GeminiAnswer, string]>([
    ['answers 503', { status: 503, reason: 'UNAVAILABLE' }, 'unavailable'],
    ['answers 500', { status: 500, reason: 'INTERNAL' }, 'unavailable'],
    ['answers 502', { status: 502 }, 'unavailable'],
    ['answers 501', { status: 501, reason: 'NOT_IMPLEMENTED' }, 'unavailable'],
    ['answers 408', { status: 408 }, 'timeout'],
    ['answers 504', { status: 504, reason: 'DEADLINE_EXCEEDED' }, 'timeout'],
    ['drops the connection', 'cut', 'unavailable'],
    ['drops the connection amid an answer', 'cut-amid', 'unavailable'],
    ['sends a page', { body: '<html>Bad gateway</html>' }, 'unavailable'],
    ['sends another form of answer', { body: '{"candidates":"none"}' }, 'unavailable'],
  ])('and %s is asked again later, and not by us', async (_name, answer, code) => {
    const error = await failureOf(answer);
    expect(error).toBeInstanceOf(ModelUnavailable);
    expect(error).toMatchObject({ code });
    expect(gemini.requests).toHaveLength(1);
    expect(alarms).toEqual([]);
    expect((await paint()).bytes).toEqual(gemini.picture);
  });

  it('may say with 503 when to come back', async () => {
    const soon = new Date(Date.now() + 60_000).toUTCString();
    const { retryAfterMs = 0 } = await failureOf({ status: 503, headers: { 'retry-after': soon } });
    expect(retryAfterMs).toBeGreaterThan(50_000);
    expect(retryAfterMs).toBeLessThanOrEqual(60_000);
  });

  it.each<GeminiAnswer>(['hang', 'hang-amid'])('is not waited for for ever: %s', async (answer) => {
    gemini.next.push(answer);
    const hurried = model({ GEMINI_TIMEOUT_MS: '1000' });
    const painting = hurried.paint(REQUEST, new AbortController().signal);
    await expect(painting).rejects.toMatchObject({ code: 'timeout' });
    await expect(painting).rejects.toBeInstanceOf(ModelUnavailable);
  });

  it.each<GeminiAnswer>(['hang', 'hang-amid'])(
    'is left when nobody wants it: %s',
    async (answer) => {
      gemini.next.push(answer);
      const wanted = new AbortController();
      const reason = new Error('cancelled');
      const painting = model().paint(REQUEST, wanted.signal);
      await gemini.asked(1);
      wanted.abort(reason);
      await expect(painting).rejects.toBe(reason);
      await expect(model().paint(REQUEST, wanted.signal)).rejects.toBe(reason);
      expect(gemini.requests).toHaveLength(1);
    },
  );

  it('is read so far and no further', async () => {
    gemini.next.push('endless');
    await expect(paint()).rejects.toMatchObject({ code: 'bad-output' });
    const sent = gemini.requests[0]?.sent() ?? Infinity;
    expect(sent).toBeLessThan(96 * 1024 * 1024);
  });

  it('is not looked for anywhere else, with the key in the request', async () => {
    const other = await GeminiServer.start();
    try {
      const headers = { location: `${other.url}/v1beta/models/x:generateContent` };
      const refusal = await failureOf({ status: 307, headers });
      expect(refusal).toBeInstanceOf(ModelRefusal);
      expect(refusal).toMatchObject({ code: 'unavailable' });
      expect(other.requests).toEqual([]);
      expect(JSON.stringify(alarms)).toContain('Gemini answers 307');
    } finally {
      await other.close();
    }
  });

  it('is away', async () => {
    const away = model({ GEMINI_BASE_URL: 'http://127.0.0.1:9' });
    await expect(away.paint(REQUEST, new AbortController().signal)).rejects.toMatchObject({
      code: 'unavailable',
    });
  });
});

describe('what only the operator can mend', () => {
  it('is a key that Google does not take, which is no fault of the client', async () => {
    const locked = model({ GEMINI_API_KEY: 'canary-another-key' });
    const error = await locked.paint(REQUEST, new AbortController().signal).catch(describeError);
    expect(error).toMatchObject({ type: 'ModelRefusal', code: 'unavailable' });
    expect(alarms).toHaveLength(1);
    expect(JSON.stringify(alarms)).toContain('GEMINI_API_KEY');
    expect(JSON.stringify(alarms)).toContain('Gemini answers 400 API_KEY_INVALID');
  });

  it('is a model that is retired, and final', async () => {
    const retired = model({ GEMINI_IMAGE_MODEL: 'gemini-2.5-flash-image' });
    const painting = retired.paint(REQUEST, new AbortController().signal);
    await expect(painting).rejects.toMatchObject({ code: 'model-retired' });
    await expect(painting).rejects.toBeInstanceOf(ModelRefusal);
    expect(alarms).toHaveLength(1);
  });

  it.each([
    [400, 'FAILED_PRECONDITION'],
    [400, 'INVALID_ARGUMENT'],
    [401, 'UNAUTHENTICATED'],
    [403, 'PERMISSION_DENIED'],
    [409, 'ABORTED'],
    [413, 'OUT_OF_RANGE'],
  ])('is whatever is answered %i %s, and final', async (status, reason) => {
    const refusal = await failureOf({ status, reason, headers: { 'retry-after': '1' } });
    expect(refusal).toBeInstanceOf(ModelRefusal);
    expect(refusal).toMatchObject({
      code: 'unavailable',
      message: 'The model cannot be asked at present. What does not come is not charged.',
    });
    expect(gemini.requests).toHaveLength(1);
    expect(alarms).toHaveLength(1);
    expect(JSON.stringify(alarms)).toContain(`Gemini answers ${status} ${reason}`);
  });
});

it('nothing that Google words, nor the key, is in an error or a log', async () => {
  const key = gemini.variables['GEMINI_API_KEY'] ?? '';
  const answers: GeminiAnswer[] = [
    { status: 400, reason: 'canary-reason', details: [{ reason: 'canary', retryDelay: 'canary' }] },
    { status: 403, reason: 'PERMISSION_DENIED' },
    { status: 404 },
    { status: 429, headers: { 'retry-after': 'canary' } },
    { status: 503, reason: 'UNAVAILABLE' },
    { body: `canary ${key}` },
    { body: `{"candidates":"canary ${key}"}` },
    { finishReason: 'canary' },
    { blockReason: 'canary' },
    { parts: [{ text: `canary ${key}` }] },
    'cut',
    'cut-amid',
  ];
  const told: unknown[] = [];
  for (const answer of answers) {
    const error = await failureOf(answer);
    // As a log has it, and as it is.
    told.push(describeError(error), inspect(error, { depth: null, showHidden: true }));
  }
  expect(told).toHaveLength(2 * answers.length);
  expect(alarms).not.toEqual([]);
  const all = JSON.stringify(told) + inspect(alarms, { depth: null, showHidden: true });
  expect(all).toContain('rate-limited');
  expect(findSecret(all, 'canary')).toEqual([]);
});
