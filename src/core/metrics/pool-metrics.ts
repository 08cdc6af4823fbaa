import { Injectable } from '@nestjs/common';
import { DatabasePools, type PoolFigures } from '../database/database-pools.js';
import { Metrics } from './metrics.js';

/** How busy the pools of database connections are, at the moment when somebody looks. */
@Injectable()
export class PoolMetrics {
  constructor(metrics: Metrics, pools: DatabasePools) {
    metrics.gauge({
      name: 'atelier_database_pool_connections',
      help: 'Connections that the pool has open',
      labels: ['pool', 'state'],
      collect: (gauge) => {
        for (const [pool, all] of Map.groupBy(pools.figures(), ({ name }) => name)) {
          gauge.set({ pool, state: 'idle' }, sumOf(all, 'idle'));
          gauge.set({ pool, state: 'busy' }, sumOf(all, 'open') - sumOf(all, 'idle'));
        }
      },
    });
    metrics.gauge({
      name: 'atelier_database_pool_max',
      help: 'The most connections that the pool opens',
      labels: ['pool'],
      collect: (gauge) => {
        for (const [pool, all] of Map.groupBy(pools.figures(), ({ name }) => name)) {
          gauge.set({ pool }, sumOf(all, 'max'));
        }
      },
    });
    metrics.gauge({
      name: 'atelier_database_pool_waiting',
      help: 'Queries that wait for a connection of the pool',
      labels: ['pool'],
      collect: (gauge) => {
        for (const [pool, all] of Map.groupBy(pools.figures(), ({ name }) => name)) {
          gauge.set({ pool }, sumOf(all, 'waiting'));
        }
      },
    });
  }
}

/** Of all pools of one name: each replica has its own. */
function sumOf(pools: PoolFigures[], figure: 'max' | 'open' | 'idle' | 'waiting'): number {
  return pools.reduce((sum, pool) => sum + pool[figure], 0);
}
