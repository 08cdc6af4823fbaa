import { describeQueue } from './queue-suite.js';

describeQueue('PostgreSQL', async (database) => ({
  variables: {},
  empty: () => database.query('truncate bullmq.job cascade'),
  noticesLossMs: 20_000,
  takeAway: () => database.query('alter schema bullmq rename to bullmq_gone'),
  bringBack: () => database.query('alter schema bullmq_gone rename to bullmq'),
  close: async () => undefined,
}));
