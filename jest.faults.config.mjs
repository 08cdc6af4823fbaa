import { availableParallelism } from 'node:os';
import base from './jest.config.mjs';

/** Long attacks on the running product: `npm run test:faults`. */
export default {
  ...base,
  testMatch: ['<rootDir>/test/faults/**/*.faults.ts'],
  // Each attacks a product of its own and looks at its clock meanwhile: one core is left to all.
  maxWorkers: Math.max(2, Math.min(3, availableParallelism() - 1)),
  testTimeout: 300_000,
};
