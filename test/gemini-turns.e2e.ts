import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { readEnv } from '../src/core/env.js';
import type { ImageModel, PaintRequest } from '../src/generation/models/image-model.js';
import { ImageModels } from '../src/generation/models/image-models.js';
import { productVariables } from './environment.js';
import { eventually } from './eventually.js';
import { type GeminiAnswer, GeminiServer, pictureOf } from './gemini-server.js';

/** As many as one process reads. */
const AT_ONCE = 2;
const REQUEST: PaintRequest = {
  ...{ prompt: 'A lighthouse', aspectRatio: '1:1', size: '4K', seed: 7, style: null, sources: [] },
};

/** Far more than sockets hold of an answer that nobody reads. */
const MUCH = Buffer.alloc(16 * 1024 * 1024, ' ');

let gemini: GeminiServer;
/** The one of a process. */
let model: ImageModel;

beforeAll(async () => {
  gemini = await GeminiServer.start();
});

afterAll(() => gemini.close());

beforeEach(() => {
  model = modelWith({});
});

afterEach(() => {
  gemini.next.length = 0;
  gemini.requests.length = 0;
});

function modelWith(variables: Record<string, string>): ImageModel {
  const urls = { ownerUrl: 'postgres://localhost/a', appUrl: 'postgres://localhost/a' };
  const all = { ...productVariables(urls, '/tmp'), ...gemini.variables, ...variables };
  return new ImageModels(readEnv(all)).current();
}

function paint(signal = new AbortController().signal) {
  return model.paint(REQUEST, signal);
}

/** An answer whose end comes when it is told to, or never. */
function inTwoParts() {
  const { promise, resolve } = Promise.withResolvers<string>();
  const content = { parts: [pictureOf(gemini.picture)], role: 'model' };
  const end = JSON.stringify({ candidates: [{ content, finishReason: 'STOP' }] });
  const answer: GeminiAnswer = { begin: MUCH, end: promise };
  const finish = () => {
    resolve(end);
  };
  return { answer, finish };
}

/** Those of which all has gone out that was sent so far, and more is to come: somebody reads them. */
const read = () => gemini.requests.filter(({ isOpen, unsent }) => isOpen() && unsent() === 0);

/** Waits until so many answers are read at once. */
async function reading(count: number): Promise<void> {
  await eventually(
    async () => read(),
    (requests) => requests.length >= count,
  );
}

describe('answers of Gemini', () => {
  it('are read a few at a time, while all are asked for', async () => {
    const answers = Array.from({ length: 8 }, inTwoParts);
    gemini.next.push(...answers.map(({ answer }) => answer));
    const paintings = Promise.all(answers.map(() => paint()));
    await gemini.asked(answers.length);
    const most: number[] = [];
    for (let left = answers.length; left > 0; left -= 1) {
      await reading(Math.min(AT_ONCE, left));
      most.push(read().length);
      // Whichever of them it is: those that are not read yet do not end.
      const [next] = read();
      answers[gemini.requests.indexOf(next!)]?.finish();
      await eventually(
        async () => next!.isOpen(),
        (isOpen) => !isOpen,
      );
    }
    expect(most).toEqual([2, 2, 2, 2, 2, 2, 2, 1]);
    for (const { bytes } of await paintings) expect(bytes).toEqual(gemini.picture);
  });

  it('leave the line when nobody wants them, and give way to others', async () => {
    gemini.next.push(inTwoParts().answer, inTwoParts().answer);
    const reasons = ['while it is read', 'at last', 'while it waits'].map(
      (when) => new Error(when),
    );
    const [first, second, third] = reasons.map(() => new AbortController());
    const held = [paint(first!.signal), paint(second!.signal)].map(failure);
    await reading(AT_ONCE);
    const waits = [paint(third!.signal), paint(), paint()];
    await gemini.asked(5);
    third!.abort(reasons[2]);
    await expect(waits[0]).rejects.toBe(reasons[2]);
    first!.abort(reasons[0]);
    // One place is enough for the others, unless who has left is let in to it.
    for (const painting of waits.slice(1)) expect((await painting).bytes).toEqual(gemini.picture);
    expect((await paint()).bytes).toEqual(gemini.picture);
    second!.abort(reasons[1]);
    expect(await Promise.all(held)).toEqual([reasons[0], reasons[1]]);
  });

  it.each<GeminiAnswer>(['hang-amid', 'cut-amid', { body: '<html>Bad gateway</html>' }, {}])(
    'give way to others when they are none: %j',
    async (answer) => {
      model = modelWith({ GEMINI_TIMEOUT_MS: '1000' });
      gemini.next.push(...Array.from({ length: AT_ONCE }, () => answer));
      const failed = Array.from({ length: AT_ONCE }, () => failure(paint()));
      for (const error of await Promise.all(failed)) expect(error).toBeInstanceOf(Error);
      expect((await paint()).bytes).toEqual(gemini.picture);
    },
  );
});

/** What it is rejected with. */
function failure(painting: Promise<unknown>): Promise<unknown> {
  return painting.then(
    () => undefined,
    (error: unknown) => error,
  );
}
