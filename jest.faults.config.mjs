import base from './jest.config.mjs';

/** Long attacks on the running product: `npm run test:faults`. */
export default {
  ...base,
  testMatch: ['<rootDir>/test/faults/**/*.faults.ts'],
  maxWorkers: 3,
  testTimeout: 300_000,
};
