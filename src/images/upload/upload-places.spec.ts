import { EventEmitter } from 'node:events';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { FastifyRequest } from 'fastify';
import { Problem } from '../../core/problems/problem.js';
import { UploadPlaces } from './upload-places.js';

let places: UploadPlaces;

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
  places = new UploadPlaces({ UPLOADS_AT_ONCE: 6, UPLOADS_PER_ACCOUNT: 3 });
});

afterEach(() => {
  jest.useRealTimers();
});

/** An upload that goes on until it is told to end. */
class Upload {
  state = 'waits';
  readonly client = Object.assign(new EventEmitter(), { readableEnded: true, errored: null });
  private readonly work = Promise.withResolvers<undefined>();

  constructor(userId: string) {
    const request = { raw: this.client } as unknown as FastifyRequest;
    const held = places.hold(request, userId, ({ displaced }) => {
      this.state = 'runs';
      displaced.addEventListener('abort', () => {
        this.work.reject(displaced.reason);
      });
      return this.work.promise;
    });
    held.then(
      () => (this.state = 'ended'),
      (error: unknown) => (this.state = error instanceof Problem ? error.code : String(error)),
    );
  }

  end(): void {
    this.work.resolve(undefined);
  }
}

function begin(userId: string, count = 1): Upload[] {
  return Array.from({ length: count }, () => new Upload(userId));
}

async function states(uploads: Upload[]): Promise<string[]> {
  await turnOfTheLoop();
  return uploads.map(({ state }) => state);
}

describe('UploadPlaces', () => {
  it('gives an account its share, lets so many wait as there are places, and refuses the rest', async () => {
    const uploads = begin('a', 10);
    expect(await states(uploads)).toEqual([
      ...['runs', 'runs', 'runs'],
      ...['waits', 'waits', 'waits', 'waits', 'waits', 'waits'],
      'too-many-uploads',
    ]);
    expect(await states(begin('b'))).toEqual(['runs']);
  });

  it('lets those that wait in when others end, first come first', async () => {
    const uploads = begin('a', 5);
    uploads[1]?.end();
    expect(await states(uploads)).toEqual(['runs', 'ended', 'runs', 'runs', 'waits']);
  });

  it('refuses who has waited for long', async () => {
    const uploads = begin('a', 4);
    await jest.advanceTimersByTimeAsync(19_000);
    expect(await states(uploads)).toEqual(['runs', 'runs', 'runs', 'waits']);
    await jest.advanceTimersByTimeAsync(1_000);
    expect(await states(uploads)).toEqual(['runs', 'runs', 'runs', 'too-many-uploads']);
  });

  it('forgets who goes away while it waits', async () => {
    const uploads = begin('a', 4);
    uploads[3]?.client.emit('close');
    uploads[0]?.end();
    expect(await states(uploads)).toEqual(['ended', 'runs', 'runs', 'malformed']);
    expect(await states(begin('a'))).toEqual(['runs']);
  });

  it('has the account with most make room when all places are taken', async () => {
    const many = [...begin('a', 3), ...begin('b', 2), ...begin('c')];
    await states(many);
    expect(await states([...many, ...begin('d')])).toEqual([
      'unavailable',
      ...['runs', 'runs', 'runs', 'runs', 'runs', 'runs'],
    ]);
  });

  it('lets nobody wait for long for those that have no more than it would have', async () => {
    const each = ['a', 'b', 'c', 'd', 'e', 'f'].flatMap((account) => begin(account));
    const [late] = begin('g');
    await jest.advanceTimersByTimeAsync(20_000);
    expect(await states([...each, late!])).toEqual([...each.map(() => 'runs'), 'unavailable']);
    await jest.advanceTimersByTimeAsync(40_000);
    expect(await states([...each, ...begin('g')])).toEqual([
      'unavailable',
      ...['runs', 'runs', 'runs', 'runs', 'runs', 'runs'],
    ]);
  });
});
