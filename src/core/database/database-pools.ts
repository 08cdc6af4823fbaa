import { Injectable } from '@nestjs/common';
import type { Pool } from 'pg';

/** What a pool of connections is for; several replicas share a name. */
export type PoolName = 'primary' | 'replica' | 'queue';

/** How full a pool is. */
export interface PoolFigures {
  readonly name: PoolName;
  /** The most connections that it opens. */
  readonly max: number;
  /** Open now, whether used or not. */
  readonly open: number;
  readonly idle: number;
  /** Queries that wait for a connection. */
  readonly waiting: number;
}

/** The pools of this process, so that they can be watched; each is registered where it is made. */
@Injectable()
export class DatabasePools {
  private readonly pools: { name: PoolName; pool: Pool }[] = [];

  register(name: PoolName, pool: Pool): void {
    this.pools.push({ name, pool });
  }

  figures(): PoolFigures[] {
    return this.pools.map(({ name, pool }) => ({
      name,
      max: pool.options.max,
      open: pool.totalCount,
      idle: pool.idleCount,
      waiting: pool.waitingCount,
    }));
  }
}
