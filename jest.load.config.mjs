import faults from './jest.faults.config.mjs';

/**
 * Attacks under which honest clients are timed, one suite after the other: `npm run test:load`. What
 * ran beside them would be measured, too.
 */
export default {
  ...faults,
  testMatch: ['<rootDir>/test/faults/**/*.load.ts'],
  maxWorkers: 1,
};
