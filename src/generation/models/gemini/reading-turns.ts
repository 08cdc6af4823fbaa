import { Admission } from '../../../core/admission.js';
import { boundedFetch } from './bounded-fetch.js';

/**
 * How many answers are read at once. One with a picture of 30 MB takes some 230 MB until only the picture
 * is left of it: its text as bytes and as a string, the string that is parsed out of that, and the picture.
 */
const AT_ONCE = 2;

export type Fetch = typeof boundedFetch;

/**
 * Lets all be asked at once, and a few be read: a model thinks for half a minute and answers within a
 * second. The other answers wait in their connections, at most until their calls are aborted.
 */
export class ReadingTurns {
  private readonly turns = new Admission(AT_ONCE, Infinity);

  /**
   * Makes one call with a `fetch` whose answer is there when its body may be read. That turn ends with
   * the call, so the call is to make of the answer what it is needed for.
   *
   * @throws what `call` throws, which learns from `fetch` that it was aborted while it waited
   */
  async during<T>(call: (fetch: Fetch) => Promise<T>): Promise<T> {
    let leave = (): void => undefined;
    const fetch: Fetch = async (input, init) => {
      const answer = await boundedFetch(input, init);
      await this.turns.enter(0, init?.signal ?? undefined);
      leave = () => {
        this.turns.leave(0);
      };
      return answer;
    };
    try {
      return await call(fetch);
    } finally {
      leave();
    }
  }
}
