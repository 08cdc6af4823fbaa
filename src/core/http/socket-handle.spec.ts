import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ConsoleLogger, Logger } from '@nestjs/common';
import { offlineEnv } from '../env.js';
import { Connections } from './connections.js';

let server: Server;
let warnings: unknown[];

beforeEach(() => {
  warnings = [];
  Logger.overrideLogger({
    log: () => undefined,
    error: () => undefined,
    warn: (entry: unknown) => warnings.push(entry),
  });
  server = createServer();
});

afterEach(() => {
  Logger.overrideLogger(new ConsoleLogger());
  server.close();
});

/** Has a server listen on a Node that lacks some parts of its handles. */
async function listen(...lacking: string[]): Promise<void> {
  new Connections(offlineEnv()).watch(server);
  const listening = once(server, 'listening');
  // Without a host it has its handle at once, and says so a moment later.
  server.listen(0);
  const handle: object = Reflect.get(server, '_handle');
  for (const name of lacking) Object.defineProperty(handle, name, { value: undefined });
  await listening;
}

describe('a Node that lacks what slow readers are told by', () => {
  it.each(['fd', 'bytesWritten', 'writeQueueSize', 'listen'])(
    'is warned of at the start, and once: %s',
    async (name) => {
      await listen(name);
      expect(warnings).toEqual([expect.objectContaining({ missing: [name] })]);
    },
  );

  it('is not this one', async () => {
    await listen();
    expect(warnings).toEqual([]);
  });
});
