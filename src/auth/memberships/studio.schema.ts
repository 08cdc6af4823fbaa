import { z } from 'zod';
import { displayName, languageTag } from '../users/user.schema.js';

/**
 * Zones of areas, and UTC. Those without an area are abbreviations, which PostgreSQL and JavaScript
 * understand differently, or offsets, which know no summer.
 */
const ZONE =
  /^(UTC|(Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Etc|Europe|Indian|Pacific)\/[\w+/-]+)$/i;

/** A time zone of the IANA database. Of two names for one zone it stays the one that was given. */
const timeZone = z
  .string()
  .max(64)
  .transform((name, context) => {
    try {
      if (ZONE.test(name)) return spelledUsually(name);
    } catch {
      // A name of this form that there is not.
    }
    context.addIssue({ code: 'custom', message: 'must be a time zone such as Europe/Madrid' });
    return z.NEVER;
  });

/** @throws RangeError when there is none */
function spelledUsually(name: string): string {
  const { timeZone: found } = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions();
  return found.toLowerCase() === name.toLowerCase() ? found : name;
}

export const studioChangesSchema = z
  .strictObject({
    name: displayName.optional(),
    timezone: timeZone
      .optional()
      .describe('Of its clocks: a name of the IANA database such as `Europe/Madrid`.'),
    locale: languageTag
      .optional()
      .describe('For what its customers read: a language tag of BCP 47.'),
  })
  .meta({ id: 'StudioChanges' });

export type StudioChanges = z.output<typeof studioChangesSchema>;
