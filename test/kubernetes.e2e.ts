import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { envVariables } from '../src/core/env.js';

const FOLDER = 'docker/k8s';
const KINDS: Record<string, string> = {
  Deployment: 'apps/v1',
  Service: 'v1',
  ConfigMap: 'v1',
  Job: 'batch/v1',
  HorizontalPodAutoscaler: 'autoscaling/v2',
  PodDisruptionBudget: 'policy/v1',
  NetworkPolicy: 'networking.k8s.io/v1',
  ScaledObject: 'keda.sh/v1alpha1',
};

/** The name of Prometheus and its namespace, as its users are told. */
const PROMETHEUS = ['prometheus', 'monitoring'] as const;
const NAMESPACE_LABEL = 'kubernetes.io/metadata.name';

let manifests: Record<string, any>[];

beforeAll(async () => {
  const names = await readdir(FOLDER);
  const texts = await Promise.all(names.map((name) => readFile(join(FOLDER, name), 'utf8')));
  manifests = texts.flatMap((text) =>
    parseAllDocuments(text).map((document) => {
      expect(document.errors).toEqual([]);
      return document.toJS() as Record<string, any>;
    }),
  );
});

const ofKind = (...kinds: string[]) => manifests.filter(({ kind }) => kinds.includes(kind));
const pods = () => ofKind('Deployment', 'Job').map(({ spec }) => spec.template);
const containers = () => pods().flatMap(({ spec }) => spec.containers);

describe('docker/k8s', () => {
  it('is of kinds and versions that are current', () => {
    for (const { kind, apiVersion } of manifests)
      expect([kind, apiVersion]).toEqual([kind, KINDS[kind]]);
    expect(new Set(manifests.map(({ kind }) => kind))).toEqual(new Set(Object.keys(KINDS)));
  });

  it('lets no process be root, gain rights, write to its image or speak to the cluster', () => {
    expect(pods()).toHaveLength(3);
    for (const { spec } of pods()) {
      expect(spec).toMatchObject({
        automountServiceAccountToken: false,
        securityContext: {
          runAsNonRoot: true,
          runAsUser: 1000,
          seccompProfile: { type: 'RuntimeDefault' },
        },
      });
    }
    for (const { securityContext, resources } of containers()) {
      expect(securityContext).toEqual({
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      });
      expect(resources.limits.memory).toMatch(/^\d+[MG]i$/);
    }
  });

  it('asks each process whether it lives and whether it is ready, at a port that it has', () => {
    for (const { spec } of ofKind('Deployment')) {
      for (const { ports, startupProbe, livenessProbe, readinessProbe } of spec.template.spec
        .containers) {
        const names = ports.map(({ name }: { name: string }) => name);
        for (const { httpGet } of [startupProbe, livenessProbe, readinessProbe]) {
          expect(names).toContain(httpGet.port);
        }
        expect(livenessProbe.httpGet.path).toBe('/health');
        expect(readinessProbe.httpGet.path).toBe('/health/ready');
      }
    }
  });

  it('lets only Prometheus in where no client has a Service to come through', () => {
    const served = ofKind('Service').map(({ spec }) => JSON.stringify(spec.selector));
    const closed = ofKind('Deployment')
      .map(({ spec }) => spec.template)
      .filter(({ metadata }) => !served.includes(JSON.stringify(metadata.labels)));
    expect(closed).toHaveLength(1);
    const from = { namespaceSelector: { matchLabels: { [NAMESPACE_LABEL]: PROMETHEUS[1] } } };
    expect(ofKind('NetworkPolicy').map(({ spec }) => spec)).toEqual(
      closed.map(({ metadata, spec }) => ({
        podSelector: { matchLabels: metadata.labels },
        policyTypes: ['Ingress'],
        ingress: [
          {
            from: [
              {
                ...from,
                podSelector: { matchLabels: { 'app.kubernetes.io/name': PROMETHEUS[0] } },
              },
            ],
            ports: spec.containers[0].ports.map(({ name }: { name: string }) => ({
              protocol: 'TCP',
              port: name,
            })),
          },
        ],
      })),
    );
  });

  it('finds the same Prometheus wherever it is asked', () => {
    for (const { metadata } of ofKind('ScaledObject').flatMap(({ spec }) => spec.triggers)) {
      expect(metadata.serverAddress).toBe(`http://${PROMETHEUS.join('.')}:9090`);
    }
  });

  it('waits longer for a process to stop than the process takes', () => {
    const [{ data } = { data: {} }] = ofKind('ConfigMap');
    const own = Number(data.SHUTDOWN_TIMEOUT_MS) / 1000;
    expect(own).toBeGreaterThan(0);
    for (const { spec } of ofKind('Deployment').map((each) => each['spec'].template)) {
      const before = Number(spec.containers[0].lifecycle?.preStop.sleep.seconds ?? 0);
      expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(own + 2.5 + before);
    }
  });

  it('finds what it selects, scales, mounts and takes variables from', () => {
    const deployments = new Map(ofKind('Deployment').map((each) => [each['metadata'].name, each]));
    const labels = [...deployments.values()].map(({ spec }) => spec.template.metadata.labels);
    for (const { spec } of [...deployments.values(), ...ofKind('PodDisruptionBudget')]) {
      expect(labels).toContainEqual(spec.selector.matchLabels);
    }
    for (const { spec } of ofKind('Service')) expect(labels).toContainEqual(spec.selector);
    const scaled = ofKind('HorizontalPodAutoscaler', 'ScaledObject');
    expect(scaled.map(({ spec }) => spec.scaleTargetRef.name).sort()).toEqual(
      [...deployments.keys()].sort(),
    );
    // Who is scaled has no number of its own, or each release would set it back.
    for (const { spec } of deployments.values()) expect(spec).not.toHaveProperty('replicas');

    for (const { spec } of pods()) {
      const volumes = spec.volumes.map(({ name }: { name: string }) => name);
      for (const { name } of spec.containers[0].volumeMounts) expect(volumes).toContain(name);
    }
  });

  it('runs one image, of the version of the package, and commands that it has', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8'));
    for (const { image, command } of containers()) {
      expect(image).toBe(`atelier:${version}`);
      const source = command[1].replace(/^dist\/current\/(.*)\.js$/, '$1.ts');
      expect([command, existsSync(source)]).toEqual([['node', command[1]], true]);
    }
  });

  it('sets variables that the product knows, and no secret', () => {
    for (const { data } of ofKind('ConfigMap')) {
      for (const [name, value] of Object.entries(data)) {
        expect(Object.keys(envVariables)).toContain(name);
        expect(value).toEqual(expect.any(String));
        expect(name).not.toMatch(/SECRET|TOKEN|ACCESS_KEY|DATABASE_URL|REDIS_URL/);
      }
    }
  });
});
