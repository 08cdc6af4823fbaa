import { sql } from 'kysely';

/** A timestamp as it goes over the wire, so that it need not become a Date in between. */
export function isoTime(column: string) {
  return sql<string>`to_char(${sql.ref(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}
