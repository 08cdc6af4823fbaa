import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';

const alert = z.strictObject({
  alert: z.string().regex(/^Atelier[A-Za-z]+$/),
  expr: z.string(),
  for: z.string().regex(/^\d+m$/),
  labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
  annotations: z.strictObject({
    summary: z.string().min(1),
    description: z.string().min(1),
    runbook: z.string(),
  }),
});
const alertFile = z.strictObject({
  groups: z.array(z.strictObject({ name: z.string(), rules: z.array(alert) })),
});

export type Alert = z.infer<typeof alert>;

/** @throws when one lacks what a person at night needs */
export async function readAlerts(): Promise<Alert[]> {
  const text = await readFile('docker/prometheus/alerts.yaml', 'utf8');
  return alertFile.parse(parse(text)).groups.flatMap(({ rules }) => rules);
}

const dashboardFile = z.object({
  uid: z.literal('atelier'),
  panels: z.array(
    z.object({
      id: z.int(),
      type: z.string(),
      title: z.string(),
      datasource: z.object({ uid: z.string() }).optional(),
      targets: z.array(z.object({ expr: z.string() })).default([]),
    }),
  ),
});

export type Dashboard = z.infer<typeof dashboardFile>;

/** The dashboard, with Grafana's own variables put in as it does. */
export async function readDashboard(): Promise<Dashboard> {
  const text = await readFile('docker/grafana/dashboard.json', 'utf8');
  return dashboardFile.parse(JSON.parse(text.replaceAll('$__rate_interval', '1m')));
}

/** The metrics that an expression of PromQL reads. */
export function metricsIn(expr: string): string[] {
  const bare = expr
    .replaceAll(/"[^"]*"/g, '')
    .replaceAll(/\b(by|on|without|ignoring)\s*\([^)]*\)/g, '');
  const outsideLabels = bare.replaceAll(/\{[^}]*\}/g, '');
  return [...outsideLabels.matchAll(/\b(up|(?:atelier|nodejs|process|node)_\w+)\b/g)].map(
    ([name]) => name,
  );
}

/** The names under which the metrics of an exposition can be read. */
export function exportedMetrics(exposition: string): Set<string> {
  const names = new Set<string>();
  for (const [, name = '', type] of exposition.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    if (type === 'histogram')
      for (const part of ['bucket', 'count', 'sum']) names.add(`${name}_${part}`);
    else names.add(name);
  }
  return names;
}
