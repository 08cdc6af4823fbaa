import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { finalGeneration, generate, withCoins } from './generation-requests.js';
import { ProductProcess } from './product-process.js';
import { type Account, TestingApp } from './testing-app.js';

let app: TestingApp;
let ana: Account;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  ana = await withCoins(app, 10_000);
});

afterAll(() => app.close());

interface Event {
  id: number;
  data: any;
}

function follow(id: string, lastEventId?: number, url = app.url) {
  return fetch(`${url}/api/v1/generations/${id}/events`, {
    headers: {
      authorization: `Bearer ${ana.token}`,
      ...(lastEventId !== undefined && { 'last-event-id': String(lastEventId) }),
    },
  });
}

/** The events of a stream, until it ends. */
async function* eventsOf(response: Response): AsyncGenerator<Event> {
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block.split('\n').map((line) => {
          const at = line.indexOf(': ');
          return [line.slice(0, at), line.slice(at + 2)];
        }),
      );
      if (fields['event'] === 'generation') {
        yield { id: Number(fields['id']), data: JSON.parse(fields['data'] ?? '') };
      }
    }
  }
}

describe('the events of a generation', () => {
  it('tell of each of its states, made in another process, until it is over', async () => {
    const { body } = await generate(app, ana).expect(202);
    const { id } = body.generation;
    const response = await follow(id);
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const seen: Event[] = [];
    for await (const event of eventsOf(response)) {
      if (seen.length === 0) await app.startWorker();
      seen.push(event);
    }
    expect(seen.map(({ data }) => data.status)).toEqual(['PENDING', 'PROCESSING', 'COMPLETED']);
    expect(seen.map((event) => event.id)).toEqual([1, 2, 3]);
    expect(seen.at(-1)?.data).toEqual(await finalGeneration(app, ana, id));

    const missed: Event[] = [];
    for await (const event of eventsOf(await follow(id, 1))) missed.push(event);
    expect(missed.map((event) => event.id)).toEqual([3]);
    expect((await follow(id, 3)).status).toBe(204);
    const made: Event[] = [];
    for await (const event of eventsOf(await follow(id, 99))) made.push(event);
    expect(made.map((event) => event.id)).toEqual([3]);
  });

  it('take no harm from whoever leaves', async () => {
    await app.worker?.stop();
    const { body } = await generate(app, ana).expect(202);
    const { id } = body.generation;
    const headers = { authorization: `Bearer ${ana.token}` };
    const request = get(`${app.url}/api/v1/generations/${id}/events`, { headers, agent: false });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    await once(response, 'data');
    request.destroy();
    await app.as(ana).delete(`/api/v1/generations/${id}`).expect(200);
  });

  it('end with the process that tells them', async () => {
    await app.worker?.stop();
    const { api, url } = await ProductProcess.startApi(app.variables);
    const { body } = await generate(app, ana).expect(202);
    const response = await follow(body.generation.id, undefined, url);
    const events = eventsOf(response);
    expect((await events.next()).value?.data.status).toBe('PENDING');
    api.signal('SIGTERM');
    expect((await events.next()).done).toBe(true);
    expect(await api.ended()).toBe(0);
  });
});
