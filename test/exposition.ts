/** One line of Prometheus' text format. */
interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** What a scrape told. */
export class Exposition {
  /** Types by the name of the family. */
  readonly families = new Map<string, string>();
  readonly samples: Sample[] = [];

  constructor(text: string) {
    for (const line of text.split('\n')) {
      const [, family = '', type = ''] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? [];
      if (family) this.families.set(family, type);
      const [, name, labels = '', value] = SAMPLE.exec(line) ?? [];
      if (name === undefined) continue;
      const pairs = [...labels.matchAll(LABEL)].map(([, label = '', text = '']) => [label, text]);
      this.samples.push({ name, labels: Object.fromEntries(pairs), value: Number(value) });
    }
  }

  static async of(url: string, headers: Record<string, string> = {}): Promise<Exposition> {
    const answer = await fetch(`${url}/metrics`, { headers });
    if (answer.status !== 200) throw new Error(`The scrape was answered ${answer.status}`);
    return new Exposition(await answer.text());
  }

  /** The sum of the samples with these labels, or undefined when there are none. */
  value(name: string, labels: Record<string, string> = {}): number | undefined {
    const found = this.samples.filter(
      (sample) =>
        sample.name === name &&
        Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
    );
    return found.length > 0 ? found.reduce((sum, { value }) => sum + value, 0) : undefined;
  }

  /** How often a histogram observed something. */
  count(histogram: string, labels: Record<string, string> = {}): number {
    return this.value(`${histogram}_count`, labels) ?? 0;
  }

  /** Every value that a label has in a family. */
  valuesOf(label: string, prefix: string): Set<string | undefined> {
    const ours = this.samples.filter(({ name }) => name.startsWith(prefix));
    return new Set(ours.map(({ labels }) => labels[label]));
  }
}
