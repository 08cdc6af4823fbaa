import { describeQueue } from './queue-suite.js';

describeQueue('PostgreSQL', async (database) => ({
  variables: {},
  empty: () => database.query('truncate bullmq.job cascade'),
  noticesLossMs: 20_000,
  // Each carrier is one row, which is there or not.
  loseInPart: () => database.query('truncate bullmq.job cascade'),
  takeAway: () => database.query('alter schema bullmq rename to bullmq_gone'),
  bringBack: () => database.query('alter schema bullmq_gone rename to bullmq'),
  refuse: () =>
    database.query(`
      create function bullmq.refuse() returns trigger language plpgsql as $$
        begin raise exception 'no space left'; end $$;
      create trigger refuse before insert on bullmq.job execute function bullmq.refuse()`),
  relent: () => database.query('drop function bullmq.refuse cascade'),
  close: async () => undefined,
}));
