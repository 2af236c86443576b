/** Prometheus' text format, version 0.0.4. Source: prometheus.io, "Exposition formats". */

export type LabelSet = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels: LabelSet;
  readonly value: number;
}

export interface Family {
  /** Without the program's name before it. */
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly samples: readonly Sample[];
}

/** Observations in buckets, each with its upper bound. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  /** @param bounds ascending. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.#sum += value;
    this.#count++;
    for (const [i, bound] of this.#bounds.entries()) if (value <= bound) this.#counts[i] = (this.#counts[i] ?? 0) + 1;
  }

  lines(name: string, labels: LabelSet): string[] {
    const buckets = this.#bounds.map((bound, i) => line(`${name}_bucket`, { ...labels, le: String(bound) }, this.#counts[i] ?? 0));
    return [...buckets, line(`${name}_bucket`, { ...labels, le: "+Inf" }, this.#count), line(`${name}_sum`, labels, this.#sum), line(`${name}_count`, labels, this.#count)];
  }
}

const PREFIX = "tssandbox_";

export const head = (name: string, help: string, type: string): string[] => [`# HELP ${PREFIX}${name} ${help}`, `# TYPE ${PREFIX}${name} ${type}`];

export function familyLines({ name, help, type, samples }: Family): string[] {
  return samples.length === 0 ? [] : [...head(name, help, type), ...samples.map(({ labels, value }) => line(name, labels, value))];
}

function line(name: string, labels: LabelSet, value: number): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
  return `${PREFIX}${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`;
}

/** Annotations are anybody's text. */
const escaped = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
