/**
 * The runtime's log in the form that engines read: to a file, as lines of JSON or of text. containerd shows the last error line of it, podman
 * parses the whole file as one object, so a failing command writes exactly one line. Errors also go to standard error, for people.
 */
import { appendFileSync, writeSync } from "node:fs";

export type LogFormat = "text" | "json";

export interface LogOptions {
  /** Absent: warnings and errors go to standard error only. */
  readonly file?: string | undefined;
  readonly format: LogFormat;
  readonly debug: boolean;
  /** The host's own, of all containers: every line also goes there, with what it is about. It may be full or gone: a container does not fail for it. */
  readonly node?: { readonly file?: string | undefined; readonly format?: LogFormat | undefined; readonly debug?: boolean | undefined } | undefined;
}

/** What the lines of the host's log are about: the container's id, its pod's. */
export type Labels = Readonly<Record<string, string>>;

export type Level = "debug" | "info" | "warning" | "error";

export interface NodeLog {
  readonly file: string;
  readonly format: LogFormat;
  readonly labels: Labels;
}

const STDERR = 2;

export class Logger {
  readonly #options: LogOptions;
  #warnings: string[] = [];
  #labels: Labels = {};

  constructor(options: LogOptions) {
    this.#options = options;
  }

  /** From here on. */
  about(labels: Labels): void {
    this.#labels = labels;
  }

  debug(message: string): void {
    if (this.#options.debug) this.#write("debug", message);
    else if (this.#options.node?.debug === true) this.#writeNode("debug", oneLine(message));
  }

  /** Held back until `flush`: of a command that fails before that, only the error is told. */
  warn(message: string): void {
    this.#warnings.push(message);
  }

  /** @returns the value of a document that has been checked; its warnings are ours. */
  warned<T>({ value, warnings }: { readonly value: T; readonly warnings: readonly string[] }): T {
    for (const warning of warnings) this.warn(warning);
    return value;
  }

  /** For a forked process: those are its parent's to tell of. */
  discard(): void {
    this.#warnings = [];
  }

  flush(): void {
    for (const warning of this.#warnings) this.#write("warning", warning);
    this.#warnings = [];
  }

  error(message: string): void {
    this.#warnings = [];
    this.#write("error", message);
    if (this.#options.file !== undefined) writeSync(STDERR, `tssandbox: ${oneLine(message)}\n`);
  }

  #write(level: Level, text: string): void {
    const message = oneLine(text);
    this.#writeNode(level, message);
    if (this.#options.file !== undefined) appendFileSync(this.#options.file, `${this.#line(level, message)}\n`);
    else writeSync(STDERR, this.#options.format === "json" ? `${this.#line(level, message)}\n` : `tssandbox: ${level === "error" ? "" : `${level}: `}${message}\n`);
  }

  #writeNode(level: Level, message: string): void {
    const { node } = this.destination;
    if (node === undefined) return;
    try {
      appendFileSync(node.file, `${logLine(node.format, level, message, node.labels)}\n`, { mode: 0o600 });
    } catch {
      // As promised above.
    }
  }

  #line(level: Level, message: string): string {
    return logLine(this.#options.format, level, message);
  }

  /** Where the log goes, for processes that write to it themselves. */
  get destination(): Pick<LogOptions, "file" | "format"> & { readonly node: NodeLog | undefined } {
    const { file, format, node } = this.#options;
    return { file, format, node: node?.file === undefined ? undefined : { file: node.file, format: node.format ?? "json", labels: this.#labels } };
  }
}

export function logLine(format: LogFormat, level: Level, message: string, labels: Labels = {}): string {
  const time = new Date().toISOString();
  if (format === "json") return JSON.stringify({ level, msg: message, time, ...labels });
  return [`time=${JSON.stringify(time)} level=${level} msg=${JSON.stringify(message)}`, ...Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`)].join(" ");
}

/** A path may hold line ends and escape sequences: neither is to break the line, or a terminal. */
export function oneLine(message: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return message.replaceAll(/[\u0000-\u001f\u007f]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
