import { once } from 'node:events';
import { text as textOf } from 'node:stream/consumers';
import { get, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { GenerationEvents, type StreamTimes } from '../src/generation/generation-events.js';
import { eventually } from './eventually.js';
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

/** Who an access token is of. */
function signedIn({ token, userId }: Account) {
  const [, claims = ''] = token.split('.');
  const { sid } = JSON.parse(Buffer.from(claims, 'base64url').toString());
  return { userId, sessionId: sid as string };
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

  it('tell of an image that is deleted before it is made', async () => {
    await app.worker?.stop();
    const { body } = await generate(app, ana, { count: 2 }).expect(202);
    const { id, imageIds } = body.generation;
    const never = { heartbeatSeconds: 3_600, endsAfterSeconds: 3_600, pollMs: 3_600_000 };
    const stream = await app.app.get(GenerationEvents).follow(signedIn(ana), id, 0, never);
    const blocks: string[] = [];
    for await (const block of stream!) {
      blocks.push(String(block));
      if (blocks.length === 2) await app.as(ana).delete(`/api/v1/images/${imageIds[0]}`);
      if (blocks.length === 3) await app.as(ana).delete(`/api/v1/images/${imageIds[1]}`);
    }
    const told = blocks.slice(1).map((block) => {
      const [, eventId, json] = /^id: (\d+)\nevent: generation\ndata: (.*)\n\n$/.exec(block)!;
      const { status, imageIds: ids } = JSON.parse(json!);
      return { eventId, status, ids };
    });
    expect(told).toEqual([
      { eventId: '1', status: 'PENDING', ids: imageIds },
      { eventId: '2', status: 'PENDING', ids: [imageIds[1]] },
      { eventId: '3', status: 'FAILED', ids: [] },
    ]);
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

  it('are comments while nothing happens, and end in time, to be asked for again', async () => {
    const { body } = await generate(app, ana).expect(202);
    const { id } = body.generation;
    const events = app.app.get(GenerationEvents);
    const times = { heartbeatSeconds: 0.1, endsAfterSeconds: 1, pollMs: 5_000 };
    const told = async (lastSeen: number, of: StreamTimes) =>
      (await textOf((await events.follow(signedIn(ana), id, lastSeen, of))!)).split('\n\n');
    const [retry, first, ...silence] = await told(0, times);
    expect(retry).toBe('retry: 2000');
    expect(first).toMatch(/^id: 1\nevent: generation\ndata: \{.*"PENDING".*\}$/);
    expect(silence.length).toBeGreaterThan(2);
    expect(new Set(silence)).toEqual(new Set([': still here', '']));
    // What the client has is not told again; what comes is, without waiting for a look.
    const never = { heartbeatSeconds: 3_600, endsAfterSeconds: 3_600, pollMs: 3_600_000 };
    const again = told(1, never);
    await app.as(ana).delete(`/api/v1/generations/${id}`).expect(200);
    const [, ...rest] = await again;
    expect(rest).toEqual([
      expect.stringMatching(/^id: 2\nevent: generation\ndata: \{.*"cancelled".*\}$/),
      '',
    ]);
  });

  it('end quietly with the account of their owner', async () => {
    const bob = await withCoins(app, 100);
    const { body } = await generate(app, bob).expect(202);
    const times = { heartbeatSeconds: 15, endsAfterSeconds: 60, pollMs: 100 };
    const stream = await app.app
      .get(GenerationEvents)
      .follow(signedIn(bob), body.generation.id, 0, times);
    const told = textOf(stream!);
    await app.as(bob).delete('/api/v1/me').send({ password: bob.password }).expect(204);
    expect(await told).toMatch(/^retry: 2000\n\n(id: 1\nevent: .*\ndata: .*\n\n)?$/);
  });

  it.each([
    ['signs out', (who: Account) => app.as(who).post('/api/v1/auth/logout').expect(204)],
    [
      'is disabled',
      (who: Account) =>
        app.database.query('update users set disabled_at = now() where id = $1', [who.userId]),
    ],
  ])('tell nothing more to who %s', async (_what, leave) => {
    const bob = await withCoins(app, 100);
    const { body } = await generate(app, bob).expect(202);
    const { id } = body.generation;
    const times = { heartbeatSeconds: 60, endsAfterSeconds: 60, pollMs: 100 };
    const stream = await app.app.get(GenerationEvents).follow(signedIn(bob), id, 1, times);
    const told = textOf(stream!);
    await leave(bob);
    await app.database.query('update generations set revision = revision + 1 where id = $1', [id]);
    expect(await told).toBe('retry: 2000\n\n');
  });

  it('are told of a few generations of one user at once, and of as many of others', async () => {
    const [bob, eve] = await Promise.all([withCoins(app, 100), withCoins(app, 100)]);
    const { body } = await generate(app, bob).expect(202);
    const { id } = body.generation;
    const open = (as: Account, path = id) =>
      fetch(`${app.url}/api/v1/generations/${path}/events`, {
        headers: { authorization: `Bearer ${as.token}` },
      });
    expect((await open(eve)).status).toBe(404);
    const streams = await Promise.all(Array.from({ length: 30 }, () => open(bob)));
    const taken = streams.filter(({ status }) => status === 200);
    expect(taken).toHaveLength(10);
    const refused = streams.find(({ status }) => status === 429)!;
    expect(await refused.json()).toMatchObject({ code: 'too-many-streams' });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    const theirs = (await generate(app, eve).expect(202)).body.generation.id;
    const other = await open(eve, theirs);
    expect(other.status).toBe(200);

    await Promise.all([...taken, other].map(({ body: stream }) => stream!.cancel()));
    const reopened = await eventually(
      () => open(bob),
      ({ status }) => status === 200,
    );
    await app.as(bob).delete(`/api/v1/generations/${id}`).expect(200);
    expect(await reopened.text()).toContain('"cancelled"');
  });
});
