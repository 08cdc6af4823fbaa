/** How many rows are in memory at once. */
const PAGE_SIZE = 200;

/**
 * Goes through any number of rows.
 *
 * @param read gives the rows that follow another, or the first ones, and no more than `limit` of them
 */
export async function* inPages<Row>(
  read: (after: Row | undefined, limit: number) => Promise<Row[]>,
): AsyncGenerator<Row> {
  for (let after: Row | undefined; ;) {
    const rows = await read(after, PAGE_SIZE);
    yield* rows;
    if (rows.length < PAGE_SIZE) return;
    after = rows.at(-1);
  }
}

/** What has a later id than another row. */
export function idBehind(after: { id: string } | undefined) {
  return after ? { id: { $gt: after.id } } : {};
}
