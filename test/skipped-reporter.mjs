import { relative } from 'node:path';

/** Tells at the end of a run which suites this machine cannot run, and why (test/programs.ts). */
export default class SkippedReporter {
  onRunComplete(_contexts, { testResults: files }) {
    const names = files.flatMap(({ testFilePath, testResults: tests }) =>
      tests
        .flatMap(({ ancestorTitles }) => ancestorTitles)
        .filter((title) => title.includes('(NOT RUN: '))
        .map((title) => `  ${relative('.', testFilePath)}: ${title}`),
    );
    if (names.length > 0) console.error(['', ...new Set(names)].join('\n'));
  }
}
