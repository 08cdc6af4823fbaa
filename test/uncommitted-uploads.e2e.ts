import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { readEnv } from '../src/core/env.js';
import { eventually } from './eventually.js';
import { holdingAccount, removalsOf, startWithPicture, storedFiles } from './image-requests.js';
import { ProductProcess } from './product-process.js';
import { TcpProxy } from './tcp-proxy.js';
import { type Account, type TestingApp } from './testing-app.js';

let app: TestingApp;
let picture: Buffer;

beforeAll(async () => {
  ({ app, picture } = await startWithPicture());
});

afterAll(() => app.close());

describe('an upload whose file is stored, and whose row is not committed', () => {
  let account: Account;
  let proxy: TcpProxy;
  let api: ProductProcess;
  let url: string;

  beforeEach(async () => {
    account = await app.register();
    const before = await TcpProxy.before(app.variables['DATABASE_URL'] ?? '');
    proxy = before.proxy;
    const variables = { ...app.variables, DATABASE_URL: before.url };
    ({ api, url } = await ProductProcess.startApi(variables));
  });

  afterEach(async () => {
    await api.kill();
    await proxy.close();
  });

  const send = () => {
    const form = new FormData();
    form.append('image', new Blob([new Uint8Array(picture)]), 'x');
    const headers = { authorization: `Bearer ${account.token}` };
    return fetch(`${url}/api/v1/images/upload`, { method: 'POST', headers, body: form });
  };

  const stored = (count: number) =>
    eventually(
      () => storedFiles(app, account),
      (names) => names.length === count,
    );

  async function expectRemoval(): Promise<void> {
    const [file] = await stored(1);
    const removals = await removalsOf(app, account);
    expect(removals).toEqual([expect.objectContaining({ target: expect.stringContaining(file!) })]);
    const { UPLOAD_TIMEOUT_MS } = readEnv(app.variables);
    const afterLongest = Number(removals[0]!.seconds) - UPLOAD_TIMEOUT_MS / 1_000;
    expect(afterLongest).toBeGreaterThan(60);
    expect(afterLongest).toBeLessThan(300);

    const change = 'update file_removals set due_at = now() where target = $1';
    await app.database.query(change, [removals[0]!.target]);
    expect(await stored(0)).toEqual([]);
    const left = await eventually(
      () => removalsOf(app, account),
      (rows) => rows.length === 0,
    );
    expect(left).toEqual([]);
  }

  it('is removed in time when its process was killed', async () => {
    await holdingAccount(app, account, async () => {
      const answer = send().catch(() => undefined);
      await stored(1);
      await api.kill();
      await answer;
    });
    await expectRemoval();
  });

  it('is removed in time when its database was lost', async () => {
    await holdingAccount(app, account, async () => {
      const answer = send();
      await stored(1);
      proxy.cut();
      expect((await answer).status).toBe(503);
    });
    await expectRemoval();
  });

  it('stays when the commit, whose answer was lost, succeeds after all', async () => {
    await app.database.query(
      `create function linger() returns trigger language plpgsql as
         $$ begin perform pg_sleep(2); return null; end $$;
       create constraint trigger linger after insert on images
         deferrable initially deferred for each row execute function linger()`,
    );
    const answer = send();
    const committing = await eventually(
      () =>
        app.database.query(
          `select 1 from pg_stat_activity
           where datname = current_database() and state = 'active' and query ilike 'commit%'`,
        ),
      (rows) => rows.length === 1,
    );
    expect(committing).toHaveLength(1);
    proxy.cut();
    proxy.mend();
    expect((await answer).status).toBe(503);
    await app.database.query('drop function linger cascade');
    const images = await eventually(
      async () => (await app.as(account).get('/api/v1/images').expect(200)).body.items,
      ([image]) => ['COMPLETED', 'FAILED'].includes(image?.status),
    );
    expect(images).toMatchObject([{ status: 'COMPLETED', error: null }]);
  });
});
