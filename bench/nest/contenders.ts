import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CleanUp } from '../clean-up.ts';
import { HelperProcess } from '../helper-process.ts';
import { Product } from '../product.ts';

/** Something that is started, asked whether it lives, and stopped, again and again. */
export interface Contender {
  /** Settles at the first 200 of `/health`. */
  start(): Promise<{ pid: number }>;
  stop(): Promise<void>;
}

const BARE = new URL('./bare-nest.mjs', import.meta.url);

/**
 * The API of the product, migrated and with its PostgreSQL running, and bare Nest on Fastify. Both
 * keep their compiled code in a cache of Node's, as the Docker image does.
 */
export async function contenders(cleanUp: CleanUp): Promise<Record<'product' | 'bare', Contender>> {
  const product = await Product.start(cleanUp);
  await Promise.all([product.worker.stop(), product.api.stop()]);
  const cacheOf = (name: string): { NODE_COMPILE_CACHE: string } => {
    const folder = join(product.setting.dataDir, `compiled-${name}`);
    mkdirSync(folder);
    return { NODE_COMPILE_CACHE: folder };
  };
  return {
    product: new ProductApi(product, cacheOf('product')),
    bare: new BareNest({ NODE_ENV: 'production', ...cacheOf('bare') }, cleanUp),
  };
}

class ProductApi implements Contender {
  private readonly product: Product;
  private readonly variables: Record<string, string>;

  constructor(product: Product, variables: Record<string, string>) {
    this.product = product;
    this.variables = variables;
  }

  async start(): Promise<{ pid: number }> {
    await this.product.api.start({ variables: this.variables });
    await requireHealth(this.product.url);
    return this.product.api;
  }

  stop(): Promise<void> {
    return this.product.api.stop();
  }
}

class BareNest implements Contender {
  private readonly variables: Record<string, string>;
  private readonly cleanUp: CleanUp;
  private process: HelperProcess | undefined;

  constructor(variables: Record<string, string>, cleanUp: CleanUp) {
    this.variables = variables;
    this.cleanUp = cleanUp;
  }

  async start(): Promise<{ pid: number }> {
    const process = new HelperProcess(BARE, { variables: this.variables });
    this.process = process;
    this.cleanUp.add(() => {
      process.kill();
    });
    const { port } = (await process.nextMessage()) as { port: number };
    await requireHealth(`http://127.0.0.1:${port}`);
    return process;
  }

  async stop(): Promise<void> {
    await this.process?.stop();
  }
}

async function requireHealth(url: string): Promise<void> {
  const { status } = await fetch(`${url}/health`, { headers: { connection: 'close' } });
  if (status !== 200) throw new Error(`${url}/health was answered with ${status}.`);
}
