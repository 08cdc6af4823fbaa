import { availableParallelism } from 'node:os';

/** Unit tests lie beside the code as *.spec.ts, end-to-end tests in test/ as *.e2e.ts. */
export default {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '^.+\\.ts$': '@swc/jest' },
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  testMatch: ['<rootDir>/src/**/*.spec.ts', '<rootDir>/test/**/*.e2e.ts'],
  setupFiles: ['<rootDir>/test/load-nest.ts'],
  globalSetup: '<rootDir>/test/global-setup.ts',
  globalTeardown: '<rootDir>/test/global-teardown.ts',
  reporters: ['default', '<rootDir>/test/skipped-reporter.mjs'],
  // Most tests wait more than they work, also on a machine with two cores.
  maxWorkers: Math.max(2, availableParallelism()),
  workerIdleMemoryLimit: '1GB',
  testTimeout: 30_000,
};
