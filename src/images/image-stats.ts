import { IMAGE_STATUSES, IMAGE_TYPES } from './image.entity.js';
import type { StatsRow } from './image.queries.js';
import type { ImageStats } from './image.schema.js';

/** What is told of a user's images besides what they are. */
interface Surroundings {
  quotaBytes: number;
  coinsSpent: number;
}

/** Sums up what one user has: types and statuses that do not occur count as 0. */
export function presentStats(
  rows: StatsRow[],
  { quotaBytes, coinsSpent }: Surroundings,
): ImageStats {
  return {
    ...sum(rows),
    coins: coinsSpent,
    quotaBytes,
    byType: Object.fromEntries(
      IMAGE_TYPES.map((type) => [type, sum(rows.filter((row) => row.type === type))]),
    ) as ImageStats['byType'],
    byStatus: Object.fromEntries(
      IMAGE_STATUSES.map((status) => [status, sum(rows.filter((row) => row.status === status))]),
    ) as ImageStats['byStatus'],
  };
}

function sum(rows: StatsRow[]) {
  const total = { count: 0, bytes: 0, coins: 0 };
  for (const { count, bytes, coins } of rows) {
    total.count += count;
    total.bytes += bytes;
    total.coins += coins;
  }
  return total;
}
