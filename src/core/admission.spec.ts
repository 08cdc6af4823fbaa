import { describe, expect, it } from '@jest/globals';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { Admission } from './admission.js';

describe('Admission', () => {
  it('lets in as many as there are places', async () => {
    const { admission, ask, inside } = open({ places: 2, budgetMb: 1000 });
    ask('a', 1);
    ask('b', 1);
    ask('c', 1);
    expect(await inside()).toEqual(['a', 'b']);

    admission.leave(1);
    expect(await inside()).toEqual(['a', 'b', 'c']);
  });

  it('keeps the sum of those inside within the budget', async () => {
    const { admission, ask, inside } = open({ places: 9, budgetMb: 100 });
    ask('a', 60);
    ask('b', 40);
    ask('c', 41);
    expect(await inside()).toEqual(['a', 'b']);

    admission.leave(40);
    expect(await inside()).toEqual(['a', 'b']);
    admission.leave(60);
    expect(await inside()).toEqual(['a', 'b', 'c']);
  });

  it('lets one that is larger than the budget in alone', async () => {
    const { admission, ask, inside } = open({ places: 9, budgetMb: 100 });
    ask('small', 1);
    ask('huge', 500);
    ask('later', 1);
    expect(await inside()).toEqual(['small']);

    admission.leave(1);
    expect(await inside()).toEqual(['small', 'huge']);
    admission.leave(500);
    expect(await inside()).toEqual(['small', 'huge', 'later']);
  });

  it('lets no small one pass a large one that came before it', async () => {
    const { admission, ask, inside } = open({ places: 9, budgetMb: 100 });
    ask('first', 50);
    ask('large', 90);
    for (let i = 0; i < 5; i++) ask('small', 10);

    expect(await inside()).toEqual(['first']);
    admission.leave(50);
    expect(await inside()).toEqual(['first', 'large', 'small']);
  });

  it('goes on when the one that held up the others gives up', async () => {
    const { ask, inside } = open({ places: 9, budgetMb: 100 });
    const abort = new AbortController();
    ask('first', 50);
    ask('large', 90, abort.signal);
    ask('small', 10);
    expect(await inside()).toEqual(['first']);

    abort.abort();

    expect(await inside()).toEqual(['first', 'not large', 'small']);
  });

  it('takes nothing from one that was let in and is aborted later', async () => {
    const { admission, ask, inside } = open({ places: 1, budgetMb: 100 });
    const abort = new AbortController();
    ask('a', 1, abort.signal);
    await inside();
    abort.abort();
    ask('b', 1);
    expect(await inside()).toEqual(['a']);

    admission.leave(1);
    expect(await inside()).toEqual(['a', 'b']);
  });
});

function open({ places, budgetMb }: { places: number; budgetMb: number }) {
  const admission = new Admission(places, budgetMb);
  const admitted: string[] = [];
  return {
    admission,
    ask: (name: string, memoryMb: number, signal?: AbortSignal) => {
      void admission.enter(memoryMb, signal).then(
        () => admitted.push(name),
        () => admitted.push(`not ${name}`),
      );
    },
    /** All that were let in or gave up, in this order, whether or not they have left. */
    inside: async () => {
      await turnOfTheLoop();
      return admitted;
    },
  };
}
