/**
 * The log of a sandbox's own processes. They keep no standard streams of the container: what they have to say goes to the runtime's log, where
 * there is one, and to `sandbox.log` in the container's state directory, as do the last words of Node itself when it has to end.
 */
import { openSync, readFileSync } from "node:fs";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { Fd } from "../../linux/fd.ts";
import { duplicateOnto, open, writeAll } from "../../linux/file.ts";
import { logLine, oneLine, type Level, type Labels, type LogFormat, type Logger, type NodeLog } from "../log.ts";

const FILE = "sandbox.log";

interface Form {
  readonly format: LogFormat;
  readonly labels?: Labels;
}

interface Target extends Form {
  readonly fd: Fd;
}

const append = (path: string) => new Fd(openSync(path, "a", 0o600));

/** A full disk ends no sandbox. */
function tryWrite(fd: Fd, line: string): void {
  try {
    writeAll(fd, line);
  } catch {
    // Nobody is left to tell.
  }
}

/** Like the runtime itself, a sandbox does without the host's log where that cannot be had. */
function nodeTarget({ file, format, labels }: NodeLog): Target[] {
  try {
    return [{ fd: append(file), format, labels }];
  } catch {
    return [];
  }
}

export class SandboxLog {
  readonly #own: Target;
  readonly #others: readonly Target[];

  private constructor(own: Fd, others: readonly Target[]) {
    this.#own = { fd: own, format: "text" };
    this.#others = others;
  }

  /** @param directory the container's state directory. @throws SysError */
  static open(directory: string, { destination: { file, format, node } }: Logger): SandboxLog {
    const others = [...(file === undefined ? [] : [{ fd: append(file), format }]), ...(node === undefined ? [] : nodeTarget(node))];
    return new SandboxLog(append(`${directory}/${FILE}`), others);
  }

  /** The same log in a process that has been sent its `descriptors`, and `forms`. */
  static of([own, ...others]: readonly Fd[], forms: readonly Form[]): SandboxLog {
    if (own === undefined) throw new Error("a log has a file");
    return new SandboxLog(own, others.map((fd, i) => ({ fd, format: "text", ...forms[i] })));
  }

  /** Of all its descriptors but the first. */
  get forms(): readonly Form[] {
    return this.#others.map(({ format, labels }) => ({ format, ...(labels !== undefined && { labels }) }));
  }

  warn(message: string): void {
    this.#write("warning", message);
  }

  error(message: string): void {
    this.#write("error", message);
  }

  #write(level: Level, message: string): void {
    for (const { fd, format, labels } of this.#targets) tryWrite(fd, `${logLine(format, level, oneLine(message), labels)}\n`);
  }

  get #targets(): readonly Target[] {
    return [this.#own, ...this.#others];
  }

  /** To be kept by whoever is confined. */
  get descriptors(): readonly Fd[] {
    return this.#targets.map(({ fd }) => fd);
  }

  /** `sandbox.log` itself. */
  get file(): Fd {
    return this.#own.fd;
  }

  /** Gives the container's streams up. In a forked child. */
  takeStreams(): void {
    using nothing = open("/dev/null", fcntl.O_RDWR);
    duplicateOnto(nothing, 0);
    duplicateOnto(nothing, 1);
    duplicateOnto(this.file, 2);
  }

  close(): void {
    for (const { fd } of this.#targets) fd.close();
  }
}

const WARNING = /^time=\S+ level=warning /;
const PREFIX = /^time=\S+ level=\S+ msg=/;
const MOST_WORDS = 3;

/** Why a sandbox's own processes say that they have ended, beginning with the first; undefined where they say nothing. */
export function lastWords(directory: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(`${directory}/${FILE}`, "utf8");
  } catch {
    return undefined;
  }
  const words = text.split("\n").filter((line) => line.trim() !== "" && !WARNING.test(line)).map(wordsOf);
  return words.length === 0 ? undefined : words.slice(0, MOST_WORDS).join("; ");
}

/** Of a line of the log, or of one that is not of our making. */
function wordsOf(line: string): string {
  const message = line.replace(PREFIX, "");
  if (message === line) return oneLine(line);
  try {
    return String(JSON.parse(message));
  } catch {
    return message;
  }
}
