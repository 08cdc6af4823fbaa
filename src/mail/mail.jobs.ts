import { z } from 'zod';
import { defineJob } from '../queue/job.js';
import { OutgoingMail } from './outgoing-mail.entity.js';

/** Sends a mail. */
export const sendMail = defineJob({
  name: 'outgoing-mail',
  entity: OutgoingMail,
  owner: 'recipientId',
  payload: z.strictObject({ mailId: z.uuid() }),
  payloadOf: (mailId) => ({ mailId }),
  rowIdOf: ({ mailId }) => mailId,
  // A mail server may be away for an afternoon, and one that greylists wants minutes: the last
  // attempt comes after three hours.
  retry: { attempts: 14, backoffMs: 2_000, maxBackoffMs: 3_600_000 },
  timeoutMs: 60_000,
});
