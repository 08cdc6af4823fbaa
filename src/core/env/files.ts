import { z } from 'zod';
import { documented } from './documented.js';
import { s3Variables } from './s3.js';
import { timeOfDay, whole, wholeNumber } from './values.js';

export const fileVariables = {
  DATA_DIR: documented(z.string().min(1).default('.atelier'), {
    help: 'Where the embedded PostgreSQL, the stored files and the generated secrets live.',
  }),
  ...s3Variables,
  SIGNED_URL_SECONDS: documented(whole(900, { min: 10, max: 604_800 }), {
    help: 'How long the file links in answers are valid, in seconds.',
  }),
  CLEANUP_GRACE_SECONDS: documented(whole(30 * 60, { min: 1, max: 30 * 86_400 }), {
    help: 'How long files stay that no row needs any more, or yet, in seconds; none is taken for lost before UPLOAD_TIMEOUT_MS.',
  }),
  CLEANUP_AT: documented(timeOfDay('03:00'), {
    help: 'When the nightly clean-up runs, as HH:MM in UTC.',
  }),
  IMAGE_RETENTION_DAYS: documented(wholeNumber({ min: 1, max: 36_500 }).optional(), {
    help: 'After how many days uploads that are linked to nothing are deleted. Default: never.',
    example: '365',
  }),
  RESUMABLE_UPLOAD_HOURS: documented(whole(24, { min: 1, max: 720 }), {
    help: 'How long a resumable upload may be continued, in hours.',
  }),
};
