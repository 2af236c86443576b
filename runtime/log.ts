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
}

export type Level = "debug" | "info" | "warning" | "error";

const STDERR = 2;

export class Logger {
  readonly #options: LogOptions;
  #warnings: string[] = [];

  constructor(options: LogOptions) {
    this.#options = options;
  }

  debug(message: string): void {
    if (this.#options.debug) this.#write("debug", message);
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
    if (this.#options.file !== undefined) appendFileSync(this.#options.file, `${this.#line(level, message)}\n`);
    else writeSync(STDERR, this.#options.format === "json" ? `${this.#line(level, message)}\n` : `tssandbox: ${level === "error" ? "" : `${level}: `}${message}\n`);
  }

  #line(level: Level, message: string): string {
    return logLine(this.#options.format, level, message);
  }

  /** Where the log goes, for processes that write to it themselves. */
  get destination(): Pick<LogOptions, "file" | "format"> {
    return this.#options;
  }
}

export function logLine(format: LogFormat, level: Level, message: string): string {
  const time = new Date().toISOString();
  if (format === "json") return JSON.stringify({ level, msg: message, time });
  return `time=${JSON.stringify(time)} level=${level} msg=${JSON.stringify(message)}`;
}

/** A path may hold line ends and escape sequences: neither is to break the line, or a terminal. */
export function oneLine(message: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return message.replaceAll(/[\u0000-\u001f\u007f]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
