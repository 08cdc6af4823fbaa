import { setTimeout as sleep } from 'node:timers/promises';
import { productVariables } from '../environment.js';
import { OwnPostgres } from '../own-postgres.js';
import { makePicture } from '../pictures.js';
import { ProductProcess } from '../product-process.js';
import { registerAt, uploadTo } from '../product-requests.js';

const WORKERS = 2;
/** Enough that no one of them has all its places in the queue taken. */
const ACCOUNTS = 6;
const PICTURES = 8;
const BETWEEN_UPLOADS_MS = 200;
const BURST = 60;

/** What became of one upload. */
export interface Upload {
  /** When it was answered, in milliseconds of the epoch. */
  at: number;
  /** How long that took, in milliseconds. */
  ms: number;
  /** 0 when the connection broke. */
  status: number;
  type: string | null;
  retryAfter: string | null;
  /** Of the image, when it was taken. */
  id: string | undefined;
}

/** How the images stand that the product has taken. */
export interface Standing {
  id: string;
  status: string;
  /** How many files it has. */
  files: number;
  /** When its row was committed, in milliseconds of the epoch. */
  takenAt: number;
}

/** An attempt that a worker ended. */
export interface Attempt {
  rowId: string;
  outcome: string;
  /** In milliseconds of the epoch. */
  begunAt: number;
}

/** An API and two workers, on a PostgreSQL of their own that can be restarted, and who uses them. */
export class ProductUnderLoad {
  readonly uploads: Upload[] = [];
  private readonly pending = new Set<Promise<unknown>>();
  private isLoading = false;
  private loop: Promise<void> = Promise.resolve();

  private constructor(
    readonly postgres: OwnPostgres,
    private readonly url: string,
    readonly api: ProductProcess,
    readonly workers: readonly ProductProcess[],
    private readonly pictures: readonly Buffer[],
    private tokens: readonly string[],
  ) {}

  static async start(more: Record<string, string>): Promise<ProductUnderLoad> {
    // Durable: what was committed has to be there after a restart without a shutdown.
    const postgres = await OwnPostgres.start({}, { durable: true });
    await postgres.migrate();
    const variables = {
      ...productVariables(postgres.database(), postgres.dataDir),
      LOG_LEVEL: 'info',
      // As in production.
      RECONCILE_EVERY_MS: '2000',
      ...more,
    };
    const [{ api, url }, ...workers] = await Promise.all([
      ProductProcess.startApi(variables),
      ...Array.from({ length: WORKERS }, () => ProductProcess.start('worker', variables)),
    ]);
    const size = { width: 160, height: 120 };
    const pictures = await Promise.all(Array.from({ length: PICTURES }, () => makePicture(size)));
    const product = new ProductUnderLoad(postgres, url, api, workers, pictures, []);
    product.tokens = await Promise.all(Array.from({ length: ACCOUNTS }, () => registerAt(url)));
    return product;
  }

  get processes(): ProductProcess[] {
    return [this.api, ...this.workers];
  }

  /** Begins to upload, five times a second, whatever the answers are. */
  load(): void {
    this.uploads.length = 0;
    this.isLoading = true;
    this.loop = (async () => {
      while (this.isLoading) {
        const upload = this.upload();
        this.pending.add(upload);
        void upload.finally(() => this.pending.delete(upload));
        await sleep(BETWEEN_UPLOADS_MS);
      }
    })();
  }

  /** Uploads many at once, more than the workers can begin with at once. */
  async burst(): Promise<void> {
    await Promise.all(Array.from({ length: BURST }, (_, n) => this.upload(n)));
  }

  /** Ends the load and waits for the last answer. */
  async unload(): Promise<void> {
    this.isLoading = false;
    await this.loop;
    await Promise.all(this.pending);
  }

  /** The images of the uploads that were taken. */
  async standings(): Promise<Standing[]> {
    const ids = this.uploads.flatMap(({ id }) => id ?? []);
    return this.postgres.query<Standing>(
      `select id, status, extract(epoch from created_at)::float8 * 1000 as "takenAt",
              (select count(*)::int from image_variants where image_id = images.id) as files
       from images where id = any($1)`,
      [ids],
    );
  }

  /** What the workers say that they did. */
  attempts(): Attempt[] {
    const lines = this.workers.flatMap(({ output }) => output.split('\n'));
    return lines
      .filter((line) => line.includes('"Attempt over"'))
      .map((line) => JSON.parse(line) as Attempt & { time: string; ms: number })
      .map(({ rowId, outcome, time, ms }) => ({
        rowId,
        outcome,
        begunAt: Date.parse(time) - ms,
      }));
  }

  /** What the API logged of its own failures, as text. */
  errorsOfApi(): string {
    const lines = this.api.output.split('\n').filter((line) => line.includes('"level":"error"'));
    return lines.slice(-20).join('\n');
  }

  deadLetters(): Promise<unknown[]> {
    return this.postgres.query('select * from failed_jobs');
  }

  async close(): Promise<void> {
    await this.unload();
    await Promise.all(this.processes.map((each) => each.kill()));
    await this.postgres.stop();
  }

  private async upload(n = this.uploads.length): Promise<Upload> {
    const picture = this.pictures[n % this.pictures.length] ?? Buffer.alloc(0);
    const token = this.tokens[n % this.tokens.length] ?? '';
    const from = performance.now();
    const signal = AbortSignal.timeout(30_000);
    const answer = await uploadTo(this.url, token, picture, { signal }).catch(() => undefined);
    const body = (await answer?.json().catch(() => ({}))) as { id?: string } | undefined;
    const upload = {
      at: Date.now(),
      ms: performance.now() - from,
      status: answer?.status ?? 0,
      type: answer?.headers.get('content-type') ?? null,
      retryAfter: answer?.headers.get('retry-after') ?? null,
      id: answer?.ok ? body?.id : undefined,
    };
    this.uploads.push(upload);
    return upload;
  }
}
