import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { ConsoleLogger, Logger } from '@nestjs/common';
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import { ReportingExporter } from './reporting-exporter.js';

type Result = Parameters<Parameters<SpanExporter['export']>[1]>[0];

let told: string[];

beforeEach(() => {
  told = [];
  const note = (entry: { msg: string }) => told.push(entry.msg);
  Logger.overrideLogger({ log: note, warn: note, error: note });
});

afterEach(() => {
  Logger.overrideLogger(new ConsoleLogger());
});

it('tells each change once, also of failures without an error', () => {
  const results = [0, 1, 1, 0, 0].map((code: Result['code']) => ({ code }));
  const exporter = new ReportingExporter({
    export: (_spans, answered) => {
      answered(results.shift() as Result);
    },
    shutdown: async () => undefined,
    forceFlush: async () => undefined,
  });
  const passedOn: Result['code'][] = [];
  for (let each = 0; each < 5; each += 1) {
    exporter.export([], ({ code }) => passedOn.push(code));
  }
  expect(passedOn).toEqual([0, 1, 1, 0, 0]);
  expect(told).toEqual(['The collector takes no traces', 'The collector takes traces again']);
});
