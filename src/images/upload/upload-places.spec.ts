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
  readonly client = Object.assign(new EventEmitter(), {
    readableEnded: false,
    errored: null,
    closed: false,
    unpipe: () => undefined,
    resume: () => undefined,
    destroy: () => undefined,
    socket: { bytesRead: 1_000 },
  });
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
  it('gives an account its share, lets four times as many wait as there are places, and refuses the rest', async () => {
    const uploads = begin('a', 3 + 4 * 6 + 1);
    expect(await states(uploads)).toEqual([
      ...Array<string>(3).fill('runs'),
      ...Array<string>(4 * 6).fill('waits'),
      'too-many-uploads',
    ]);
    expect(await states(begin('b'))).toEqual(['runs']);
  });

  it('lets an account with fewer wait in the place of the newest of the account with most', async () => {
    const many = begin('a', 3 + 4 * 6);
    const some = begin('b', 3 + 2);
    const ofMany = await states(many);
    expect(ofMany.slice(0, -2).filter((state) => state === 'waits')).toHaveLength(4 * 6 - 2);
    expect(ofMany.slice(-2)).toEqual(['too-many-uploads', 'too-many-uploads']);
    expect(await states(some)).toEqual(['runs', 'runs', 'runs', 'waits', 'waits']);
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

  describe('when all places are taken and no account has more', () => {
    const SECOND = 1_000;
    let each: Upload[];

    beforeEach(() => {
      each = ['a', 'b', 'c', 'd', 'e', 'f'].flatMap((account) => begin(account));
    });

    function receive(bytes: number, uploads: Upload[]): void {
      for (const { client } of uploads) client.socket.bytesRead += bytes;
    }

    it('has the slowest make room for one that waits, once it had ten seconds', async () => {
      const [late] = begin('g');
      await jest.advanceTimersByTimeAsync(9 * SECOND);
      expect(await states([...each, late!])).toEqual([...each.map(() => 'runs'), 'waits']);
      receive(40_000, each);
      receive(-1, [each[3]!]);
      await jest.advanceTimersByTimeAsync(2 * SECOND);
      expect(await states([...each, late!])).toEqual([
        ...['runs', 'runs', 'runs', 'unavailable', 'runs', 'runs'],
        'runs',
      ]);
    });

    it('leaves those that are not slow a minute', async () => {
      await jest.advanceTimersByTimeAsync(39 * SECOND);
      receive(61 * 32 * 1024, each);
      const [late, later] = begin('g', 2);
      await jest.advanceTimersByTimeAsync(20 * SECOND);
      expect(await states([...each, late!])).toEqual([...each.map(() => 'runs'), 'unavailable']);
      expect(await states([later!])).toEqual(['unavailable']);
      await jest.advanceTimersByTimeAsync(1 * SECOND);
      expect(await states([...each, ...begin('g')])).toEqual([
        'unavailable',
        ...['runs', 'runs', 'runs', 'runs', 'runs', 'runs'],
      ]);
    });

    it('lets those end that have sent all', async () => {
      for (const { client } of each) client.readableEnded = true;
      await jest.advanceTimersByTimeAsync(90 * SECOND);
      const [late] = begin('g');
      await jest.advanceTimersByTimeAsync(20 * SECOND);
      expect(await states([...each, late!])).toEqual([...each.map(() => 'runs'), 'unavailable']);
    });
  });
});
