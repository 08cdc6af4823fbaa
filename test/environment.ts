/** What the global setup made for all test files. */
export interface Environment {
  /** The folder of the build that test processes run. */
  build: string;
  /** The folder where Node keeps what it has compiled of that build. */
  compileCache: string;
  adminUrl: string;
  ownerUrl: string;
  appUrl: string;
}

/** What the global setup of this run made. */
export function environment(): Environment {
  return JSON.parse(process.env['ATELIER_TEST'] ?? '{}') as Environment;
}

/** The addresses of one database, by role. */
export type DatabaseUrls = Pick<Environment, 'ownerUrl' | 'appUrl'>;

/** The variables for a process of the product under test. Nothing else of the machine gets in. */
export function productVariables(
  { ownerUrl, appUrl }: DatabaseUrls,
  dataDir: string,
): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    NODE_ENV: 'test',
    LOG_LEVEL: process.env['TEST_LOG_LEVEL'] ?? 'warn',
    LOG_FORMAT: 'json',
    DATABASE_URL: appUrl,
    MIGRATION_DATABASE_URL: ownerUrl,
    DATA_DIR: dataDir,
    APP_SECRET: 'tests sign their links with this, and with nothing else',
    JWT_SECRET: 'tests sign their tokens with this, and with nothing else',
    RECONCILE_EVERY_MS: '500',
    // Tests send from one address what hundreds of people would.
    RATE_LIMITS: 'off',
  };
}
