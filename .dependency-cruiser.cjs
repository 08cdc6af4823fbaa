/**
 * The layers of src/: imports point down this list, never up. A feature is named where its layer
 * stands; what a lower layer needs from an upper one is registered through a contract in core.
 */
const LAYERS = [
  ['core'],
  ['storage', 'queue', 'mail', 'health'],
  ['auth'],
  ['coins', 'payments'],
  ['courses', 'images', 'generation', 'studios', 'qr', 'push', 'reminders'],
  ['admin'],
];

/** The parts of src/auth/, likewise; those of one line do not know each other either. */
const AUTH_PARTS = [
  ['users'],
  ['tokens'],
  ['access'],
  ['mail', 'memberships', 'passwords', 'sessions'],
  ['second-factor'],
  ['sign-in'],
  ['account', 'administration', 'google', 'recovery', 'totp'],
];

const folder = (names) => `^src/(${names.join('|')})/`;
const authPart = (names) => `^src/auth/(${names.join('|')})/`;

const upward = LAYERS.slice(0, -1).map((names, index) => ({
  name: `${names[0]}-imports-nothing-above`,
  comment: 'Imports point one way: see docs/architecture.md.',
  severity: 'error',
  from: { path: folder(names), pathNot: '\\.spec\\.ts$' },
  to: { path: folder(LAYERS.slice(index + 1).flat()) },
}));

const upwardInAuth = AUTH_PARTS.map((names, index) => ({
  name: `auth-${names[0]}-imports-only-what-is-below`,
  comment: 'See AUTH_PARTS, at the top of this file.',
  severity: 'error',
  from: { path: authPart(names), pathNot: '\\.spec\\.ts$' },
  to: { path: authPart(AUTH_PARTS.slice(index).flat()), pathNot: '^src/auth/$1/' },
}));

module.exports = {
  forbidden: [
    ...upward,
    ...upwardInAuth,
    {
      name: 'features-do-not-import-the-frame',
      comment: 'Entry points and the files beside them put features together; nobody imports them.',
      severity: 'error',
      from: { path: '^src/[^/]+/' },
      to: { path: '^src/[^/]+\\.ts$' },
    },
    {
      name: 'nobody-imports-standalone',
      comment: '`npm start` runs the product; the product does not know it.',
      severity: 'error',
      from: {
        path: '^src/',
        pathNot:
          '^src/(standalone(\\.ts|/)|(admin-create|create-migration|first-administrator|images-verify)\\.ts)',
      },
      to: { path: '^src/standalone' },
    },
    {
      name: 'every-folder-has-its-layer',
      comment: 'A new folder is named in LAYERS, at the top of this file.',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: folder([...LAYERS.flat(), 'standalone']) },
      to: {},
    },
    {
      name: 'every-part-of-auth-has-its-line',
      comment: 'A new folder is named in AUTH_PARTS, at the top of this file.',
      severity: 'error',
      from: { path: '^src/auth/[^/]+/', pathNot: authPart(AUTH_PARTS.flat()) },
      to: {},
    },
    {
      name: 'parts-of-auth-do-not-import-their-frame',
      comment: 'The files beside them put them together.',
      severity: 'error',
      from: { path: '^src/auth/[^/]+/' },
      to: { path: '^src/auth/[^/]+\\.ts$', pathNot: '^src/auth/auth\\.problems\\.ts$' },
    },
    {
      name: 'opentelemetry-is-known-to-one-file',
      comment:
        'A process that does not trace loads nothing of it: see src/core/tracing/tracing.ts.',
      severity: 'error',
      from: {
        path: '^src/',
        pathNot: '^src/core/tracing/(open-telemetry|reporting-exporter)\\.ts$|\\.spec\\.ts$',
      },
      to: { path: 'node_modules/@opentelemetry/' },
    },
    {
      name: 'opentelemetry-is-loaded-when-it-is-wanted',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/core/tracing/open-telemetry\\.ts$|\\.spec\\.ts$' },
      to: { path: '^src/core/tracing/(open-telemetry|reporting-exporter)\\.ts$', dynamic: false },
    },
    {
      name: 'drivers-are-loaded-when-they-are-wanted',
      comment:
        'A process on PostgreSQL and a disk loads no ioredis and no SDK of AWS; one that asks no model for a picture, no SDK of Google and no libvips.',
      severity: 'error',
      from: {
        path: '^src/',
        pathNot:
          '^src/(core/redis/|core/rate-limits/redis-counters\\.ts$|queue/redis/|storage/s3/|generation/models/(gemini|local)/|storage-migrate\\.ts$)|\\.spec\\.ts$',
      },
      to: {
        path: '^src/((core/redis|queue/redis|storage/s3|generation/models/(gemini|local))/|core/rate-limits/redis-counters\\.ts$)',
        pathNot:
          '^src/(core/redis/redis-address|queue/redis/redis-state|generation/models/gemini/gemini-settings)\\.ts$',
        dynamic: false,
      },
    },
    {
      name: 'images-do-not-know-generation',
      comment: 'Pictures are pictures, whoever made them; generation asks for rows and files.',
      severity: 'error',
      from: { path: '^src/images/', pathNot: '\\.spec\\.ts$' },
      to: { path: '^src/generation/' },
    },
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-barrels',
      severity: 'error',
      from: {},
      to: { path: '^src/.*/?index\\.ts$' },
    },
    {
      name: 'no-tests-in-the-product',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.spec\\.ts$' },
      to: { path: '(^test/|\\.spec\\.ts$)' },
    },
    {
      name: 'no-development-packages-in-the-product',
      severity: 'error',
      from: { path: '^(src|migrations)/', pathNot: '\\.spec\\.ts$' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown'] },
    },
    { name: 'no-orphans', severity: 'error', from: { orphan: true, path: '^src/[^/]+/' }, to: {} },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      conditionNames: ['import', 'node', 'default', 'types'],
      exportsFields: ['exports'],
    },
  },
};
