import { Logger } from '@nestjs/common';
import { describe, expect, it } from '@jest/globals';
import type { Reading } from './collection.js';
import { Metrics } from './metrics.js';

/** Metrics with one gauge that is asked for, and what the question is answered. */
function asked(answer: () => Promise<number>) {
  const metrics = new Metrics();
  const gauge = metrics.gauge({ name: 'asked', help: 'x', labels: ['of'] });
  let questions = 0;
  const read = async (): Promise<Reading[]> => {
    questions += 1;
    return [{ gauge, labels: { of: 'x' }, value: await answer() }];
  };
  metrics.collect({ name: 'test', gauges: [gauge], read });
  return { metrics, questions: () => questions };
}

Logger.overrideLogger(false);

const ERRORS = 'atelier_scrape_errors_total{collector="test"}';

describe('What is asked for when somebody looks', () => {
  it('is asked once, however many look within seconds', async () => {
    const { metrics, questions } = asked(async () => 7);
    const atOnce = await Promise.all([metrics.text(), metrics.text()]);
    const texts = [...atOnce, await metrics.text()];
    for (const text of texts) expect(text).toContain('asked{of="x"} 7');
    expect(questions()).toBe(1);
    expect(texts[2]).toContain(`${ERRORS} 0`);
  });

  it('is absent and counted when there is no answer', async () => {
    const { metrics } = asked(() => Promise.reject(new Error('away')));
    const text = await metrics.text();
    expect(text).not.toContain('asked{');
    expect(text).toContain('process_cpu_seconds_total');
    expect(await metrics.text()).toContain(`${ERRORS} 1`);
  });

  it('holds up nobody for longer than a second, and is not asked twice at once', async () => {
    const { metrics, questions } = asked(() => new Promise(() => undefined));
    const startedAt = performance.now();
    await metrics.text();
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    // Until an answer is asked for anew.
    await new Promise((resolve) => setTimeout(resolve, 5_100));
    expect(await metrics.text()).toContain(`${ERRORS} 2`);
    expect(questions()).toBe(1);
  }, 20_000);
});
