import pg from 'pg';
import { type TestingApp } from './testing-app.js';

/** For a product that waits for rows which a test holds. */
export const PATIENT = {
  DATABASE_LOCK_TIMEOUT_MS: '60000',
  DATABASE_STATEMENT_TIMEOUT_MS: '60000',
};

/** Locks images, so that nobody leases, completes or deletes them. */
export class ImageHolder {
  private constructor(
    private readonly client: pg.Client,
    /** By which PostgreSQL tells who waits for whom. */
    readonly pid: number,
  ) {}

  /** @param id of one image; all by default */
  static async hold({ database }: TestingApp, id?: string): Promise<ImageHolder> {
    const client = new pg.Client({ connectionString: database.ownerUrl });
    await client.connect();
    await client.query('begin');
    await client.query('select 1 from images where $1::uuid is null or id = $1 for update', [id]);
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    return new ImageHolder(client, rows[0]?.pid ?? 0);
  }

  release(): Promise<void> {
    return this.client.end();
  }
}
