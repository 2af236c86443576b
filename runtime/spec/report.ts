/** A configuration that cannot be used: one line, naming the field. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  /** JSON path such as `linux.namespaces[2].path`; empty for the whole document. */
  readonly field: string;
  /** The message without document and field: "must be an integer, is "1g"". */
  readonly reason: string;

  constructor(document: string, field: string, reason: string) {
    super(field === "" ? `${document}: ${reason}` : `${document}: ${field}: ${reason}`);
    this.field = field;
    this.reason = reason;
  }
}

/** What the checks know beside the document. */
export interface CheckOptions {
  /** The name of the document in messages, such as "config.json". */
  readonly document?: string;
  /** True if the runtime's effective uid is not 0: the container needs a user namespace, some features are out of reach. */
  readonly rootless?: boolean;
}

/** Collects the warnings of one document; the first refusal ends the check. */
export class Report {
  readonly warnings: string[] = [];
  readonly rootless: boolean;
  readonly #document: string;

  constructor(document: string, options: CheckOptions) {
    this.#document = options.document ?? document;
    this.rootless = options.rootless ?? false;
  }

  warn(field: string, text: string): void {
    this.warnings.push(`${this.#document}: ${field}: ${text}`);
  }

  /** @throws {ConfigError} always */
  refuse(field: string, reason: string): never {
    throw new ConfigError(this.#document, field, reason);
  }
}

/** `base.key`, or `base["key"]` where the key is not a plain word (annotations, sysctl). */
export function member(base: string, key: string | number): string {
  if (typeof key === "number") return `${base}[${key}]`;
  if (!/^\w+$/.test(key)) return `${base}[${JSON.stringify(key)}]`;
  return base === "" ? key : `${base}.${key}`;
}
