import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../eventually.js';
import { makePicture } from '../pictures.js';
import { type Account, TestingApp } from '../testing-app.js';

let app: TestingApp;
let account: Account;
let picture: Buffer;

beforeAll(async () => {
  app = await TestingApp.start({ worker: false });
  account = await app.register();
  picture = await makePicture({ width: 1500, height: 1000 });
});

afterAll(() => app.close());

async function filesInStorage(): Promise<string[]> {
  const folder = join(app.variables['DATA_DIR'] ?? '', 'files');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

describe('uploads that are broken off', () => {
  it('five hundred times, at any place, leave no file, no row and no timer', async () => {
    const timersBefore = await timers();
    const places = Array.from({ length: 500 }, (_, n) => Math.floor((picture.length * n) / 500));
    for (let n = 0; n < places.length; n += 25) {
      await Promise.all(places.slice(n, n + 25).map(abortAfter));
    }
    expect(await eventually(filesInStorage, (names) => names.length === 0, 60_000)).toEqual([]);
    expect(await app.database.query('select 1 from images')).toEqual([]);
    expect(await eventually(written, (rows) => rows.length === 0, 60_000)).toEqual([]);
    await app.http.get('/health/ready').expect(200);
    // Long before any of them would have timed out. What discards their bodies may still be there.
    const left = await eventually(timers, (count) => count <= timersBefore + 5, 10_000);
    expect(left).toBeLessThanOrEqual(timersBefore + 5);
  }, 120_000);

  it('while their file is written down for removal, leave no removal', async () => {
    await app.database.query(
      `create function linger() returns trigger language plpgsql as
         $$ begin perform pg_sleep(2); return new; end $$;
       create trigger linger before insert on file_removals
         for each row execute function linger()`,
    );
    const inserting = () =>
      app.database.query(
        `select 1 from pg_stat_activity where datname = current_database()
           and state = 'active' and query like 'insert into file_removals%'`,
      );
    // So few bytes that the connection is still read, and its end is noticed.
    const socket = begin(2_000);
    expect(await eventually(inserting, (rows) => rows.length === 1)).toHaveLength(1);
    socket.destroy();
    expect(await eventually(inserting, (rows) => rows.length === 0)).toEqual([]);
    await app.database.query('drop function linger cascade');
    expect(await eventually(written, (rows) => rows.length === 0)).toEqual([]);
    expect(await filesInStorage()).toEqual([]);
  });

  const written = () => app.database.query('select target from file_removals');

  const timers = () =>
    Promise.resolve(process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length);

  function begin(bytes: number): Socket {
    const socket = connect(Number(new URL(app.url).port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(
      `POST /upload HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${account.token}\r\n` +
        `content-type: multipart/form-data; boundary=b\r\ncontent-length: ${picture.length + 500}\r\n\r\n` +
        '--b\r\ncontent-disposition: form-data; name="image"; filename="x"\r\n\r\n',
    );
    socket.write(picture.subarray(0, bytes));
    return socket;
  }

  async function abortAfter(bytes: number): Promise<void> {
    const socket = begin(bytes);
    await sleep(20 + (bytes % 30));
    if (bytes % 2) socket.resetAndDestroy();
    else socket.destroy();
  }
});

describe('a hostile form', () => {
  const send = (body: string | Buffer) =>
    app
      .as(account)
      .post('/api/v1/images/upload')
      .set('content-type', 'multipart/form-data; boundary=b')
      .send(Buffer.from(body));
  const field = (name: string, value: string) =>
    `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const file = (name: string, fileName: string) =>
    Buffer.concat([
      Buffer.from(
        `--b\r\ncontent-disposition: form-data; name="${name}"; filename="${fileName}"\r\n\r\n`,
      ),
      picture,
      Buffer.from('\r\n'),
    ]);

  it('of 10,001 parts is refused', async () => {
    const parts = Array.from({ length: 10_001 }, (_, n) => field(`f${n}`, 'x')).join('');
    expect((await send(`${parts}--b--\r\n`)).status).toBe(413);
  });

  it.each(['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'])(
    'with a field called %s is refused, and pollutes nothing',
    async (name) => {
      const { status } = await send(`${field(name, '{"polluted":true}')}--b--\r\n`);
      expect([400, 422]).toContain(status);
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    },
  );

  it('with its file twice is refused', async () => {
    const { status } = await send(
      Buffer.concat([file('image', 'a'), file('image', 'b'), Buffer.from('--b--\r\n')]),
    );
    expect(status).toBe(422);
  });

  it.each([
    ['that climbs out of its folder', '../../../../etc/passwd'],
    ['that climbs as Windows does', '..\\\\..\\\\windows\\\\win.ini'],
    ['that is a path', '/etc/passwd'],
    ['that is a folder', '..'],
    ['with a null byte', 'x\u0000.jpg'],
    ['with an escape sequence', 'x\u001b[2J.jpg'],
    ['of 4,000 letters', `${'x'.repeat(4_000)}.jpg`],
    ['that reads from right to left', '\u202egpj.exe'],
  ])('with a file name %s is refused', async (_how, fileName) => {
    const { status, body } = await send(
      Buffer.concat([file('image', fileName), Buffer.from('--b--\r\n')]),
    );
    expect([status, body.code]).toEqual([422, 'validation-failed']);
  });

  it.each([
    ['of a device', 'CON'],
    ['that is a script', '<img src=x onerror=alert(1)>.jpg'],
    ['that is SQL', "'; drop table images; --.jpg"],
    ['in another script', 'фото 写真.jpg'],
  ])('with a file name %s is stored under a name of ours', async (_how, fileName) => {
    const { status, body } = await send(
      Buffer.concat([file('image', fileName), Buffer.from('--b--\r\n')]),
    );
    expect(status).toBe(202);
    const [row] = await app.database.query<{ storage_key: string }>(
      'select storage_key from images where id = $1',
      [body.id],
    );
    expect(row!.storage_key).toMatch(/^images\/[\w-]+\/[\w-]+\/upload-[\w-]+\.jpg$/);
  });

  it('of nothing but noise is refused', async () => {
    expect((await send(randomBytes(100_000))).status).toBe(400);
  });
});
