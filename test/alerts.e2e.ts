import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { freePort } from './free-port.js';
import { exportedMetrics, metricsIn, readAlerts, readDashboard } from './container/alert-rules.js';
import { describeWith } from './programs.js';
import { promtool } from './container/promtool.js';
import { ProductProcess } from './product-process.js';
import { TestingApp } from './testing-app.js';

/** What Prometheus knows by itself, and what its node exporter tells. */
const OF_OTHERS = ['up', 'node_filesystem_avail_bytes', 'node_filesystem_size_bytes'];

describe('an alert', () => {
  it('reads the metrics of an expression', () => {
    expect(
      metricsIn('sum by (le, process_x) (rate(atelier_a_bucket{b="atelier_c"}[5m])) > up'),
    ).toEqual(['atelier_a_bucket', 'up']);
  });

  it('leads to its entry in the handbook', async () => {
    const handbook = await readFile('docs/operate.md', 'utf8');
    const names = (await readAlerts()).map(({ alert, annotations }) => {
      expect(annotations.runbook).toBe(`docs/operate.md#${alert.toLowerCase()}`);
      return alert;
    });
    expect([...handbook.matchAll(/^#+ (Atelier\w+)$/gm)].map(([, name]) => name)).toEqual(names);
  });

  it('goes by the names of processes that Prometheus is told', async () => {
    const handbook = await readFile('docs/operate.md', 'utf8');
    const [, example = ''] = /```yaml\n(scrape_configs:[^]*?)```/.exec(handbook) ?? [];
    const [jobs, jobsOfExample] = [
      await readFile('docker/prometheus/prometheus.yaml', 'utf8'),
      example,
    ].map((text) =>
      parse(text).scrape_configs.map(({ job_name }: { job_name: string }) => job_name),
    );
    expect(jobsOfExample).toEqual(jobs);
    const named = (await readAlerts()).flatMap(({ expr }) =>
      [...expr.matchAll(/[{ ,]job="([^"]+)"/g)].map(([, job]) => job),
    );
    expect(new Set(named)).toEqual(new Set(jobs));
  });

  it('is tried out', async () => {
    const tests = await readFile('docker/prometheus/alerts.test.yaml', 'utf8');
    for (const { alert } of await readAlerts()) expect(tests).toContain(`"${alert}"`);
  });
});

describe('the dashboard', () => {
  it('has a number of its own for each panel, and the data source that is set up for it', async () => {
    const { panels } = await readDashboard();
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const path = 'docker/grafana/provisioning/datasources/prometheus.yaml';
    const [{ uid }] = parse(await readFile(path, 'utf8')).datasources;
    for (const { type, datasource } of panels) {
      if (type !== 'row') expect(datasource?.uid).toBe(uid);
    }
  });
});

describeWith('promtool', 'promtool', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atelier-promtool-'));
  });

  afterAll(() => rm(folder, { recursive: true }));

  it('finds no fault with the alerts', () => {
    expect(promtool('check', 'rules', 'docker/prometheus/alerts.yaml')).toContain('SUCCESS');
  });

  it('sees each alert come when it should, and stay away when it should', () => {
    expect(promtool('test', 'rules', 'docker/prometheus/alerts.test.yaml')).toContain('SUCCESS');
  });

  it('sees the tests fail when an alert says something else', async () => {
    const rules = await readFile('docker/prometheus/alerts.yaml', 'utf8');
    await writeFile(join(folder, 'alerts.yaml'), rules.replace('> 300', '> 3000'));
    const all = parse(await readFile('docker/prometheus/alerts.test.yaml', 'utf8'));
    // What is about other alerts takes half a minute, and was tried above.
    const tests = all.tests.filter((each: unknown) =>
      JSON.stringify(each).includes('AtelierWorkLate'),
    );
    await writeFile(join(folder, 'alerts.test.yaml'), JSON.stringify({ ...all, tests }));
    expect(() => promtool('test', 'rules', join(folder, 'alerts.test.yaml'))).toThrow(
      'AtelierWorkLate',
    );
  });

  it('understands every expression of the dashboard', async () => {
    const { panels } = await readDashboard();
    const rules = panels
      .flatMap(({ targets }) => targets)
      .map(({ expr }, at) => ({ record: `panel:${at}`, expr }));
    expect(rules.length).toBeGreaterThan(20);
    const path = join(folder, 'dashboard.json');
    await writeFile(path, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
    expect(promtool('check', 'rules', path)).toContain(`${rules.length} rules`);
  });
});

describe('a metric that an alert, the dashboard or the autoscaler names', () => {
  let app: TestingApp;
  const running: ProductProcess[] = [];

  beforeAll(async () => {
    app = await TestingApp.start({ worker: false });
  });

  afterAll(async () => {
    await Promise.all(running.map((each) => each.kill()));
    await app.close();
  });

  it('is told by the API or the worker', async () => {
    const metricsPort = await freePort();
    const variables = { ...app.variables, WORKER_METRICS_PORT: String(metricsPort) };
    const { api, url } = await ProductProcess.startApi(variables);
    running.push(api);
    running.push(await ProductProcess.start('worker', variables));
    const answers = await Promise.all(
      [url, `http://127.0.0.1:${metricsPort}`].map((each) => fetch(`${each}/metrics`)),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    const texts = await Promise.all(answers.map((answer) => answer.text()));
    const exported = new Set(texts.flatMap((text) => [...exportedMetrics(text)]));

    const alerts = (await readAlerts()).map(({ alert, expr }) => ({ name: alert, expr }));
    const panels = (await readDashboard()).panels.flatMap(({ title, targets }) =>
      targets.map(({ expr }) => ({ name: title, expr })),
    );
    const scaler = parse(await readFile('docker/k8s/worker-autoscaler.yaml', 'utf8'));
    const triggers = scaler.spec.triggers.map(({ metadata }: any) => ({
      name: 'the autoscaler',
      expr: metadata.query as string,
    }));
    const unknown = [...alerts, ...panels, ...triggers].flatMap(({ name, expr }) =>
      metricsIn(expr)
        .filter((metric) => !exported.has(metric) && !OF_OTHERS.includes(metric))
        .map((metric) => `${name}: ${metric}`),
    );
    expect(unknown).toEqual([]);
  });
});
