import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { guestProgram } from "./guest.ts";
import { uniqueId, workDir } from "./paths.ts";
import { SLOWNESS } from "./until.ts";

export type ExitStatus = { readonly code: number | null; readonly signal: number | null };

export type CallOptions = {
  /** Bytes for standard input; "pipe" leaves it open in `Call.stdin`; default /dev/null. */
  readonly input?: string | "pipe" | { readonly fd: number };
  /** Added to PATH, HOME, TSSANDBOX_MODE and TSSANDBOX_PLATFORM, the only variables that are passed on; undefined takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Descriptors of this process to appear as 3, 4, ... in the runtime. */
  readonly extraFds?: readonly number[];
  /** Directory for the output files. */
  readonly dir?: string;
  /** Milliseconds until the runtime is killed, times `SLOWNESS`; default 45 s. */
  readonly timeout?: number;
};

/**
 * A running or ended call of the runtime. Standard output and error are files, so that an init which inherits them keeps
 * no pipe of the test open; both can be read at any time, also after the runtime itself has returned.
 */
export class Call {
  readonly pid: Promise<number>;
  readonly ended: Promise<ExitStatus>;
  /** Resolves when every process that the runtime left behind has ended too: their statuses by pid. */
  readonly orphans: Promise<ReadonlyMap<number, ExitStatus>>;
  readonly stdin: ChildProcess["stdin"];
  readonly #outPath: string;
  readonly #errPath: string;

  constructor(command: readonly string[], options: CallOptions) {
    const dir = options.dir ?? workDir;
    mkdirSync(dir, { recursive: true });
    const name = join(dir, uniqueId());
    this.#outPath = `${name}.out`;
    this.#errPath = `${name}.err`;
    const files = [openInput(options.input, `${name}.in`), openSync(this.#outPath, "ax"), openSync(this.#errPath, "ax")] as const;
    const extra = options.extraFds ?? [];
    const reportFd = 3 + extra.length;
    const child = spawn(guestProgram("supervise"), [String(reportFd), ...command], {
      stdio: [files[0], files[1], files[2], ...extra, "pipe"],
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: "/root", ...mode(), ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    for (const file of files) if (typeof file === "number" && file > 2 && file !== inputFd(options.input)) closeSync(file);
    this.stdin = child.stdin;
    const report = followReport(child, reportFd);
    this.pid = report.pid;
    this.ended = withDeadline(report.main, this, command, (options.timeout ?? 45_000) * SLOWNESS);
    this.orphans = report.orphans;
    for (const promise of [this.pid, this.ended, this.orphans]) promise.catch(() => {});
  }

  get stdout(): string {
    return readFileSync(this.#outPath, "utf8");
  }

  get stderr(): string {
    return readFileSync(this.#errPath, "utf8");
  }

  /** Waits for the runtime itself, not for what it leaves behind. */
  async result(): Promise<Result> {
    const { code, signal } = await this.ended;
    return { code, signal, stdout: this.stdout, stderr: this.stderr, call: this };
  }
}

export type Result = ExitStatus & { readonly stdout: string; readonly stderr: string; readonly call: Call };

/** Starts a command under the supervisor and waits for it. */
export async function runRuntime(command: readonly string[], options: CallOptions = {}): Promise<Result> {
  return await new Call(command, options).result();
}

function openInput(input: CallOptions["input"], path: string): number | "pipe" | "ignore" {
  if (input === undefined) return "ignore";
  if (input === "pipe") return "pipe";
  if (typeof input === "object") return input.fd;
  writeFileSync(path, input);
  return openSync(path, "r");
}

function inputFd(input: CallOptions["input"]): number | undefined {
  return typeof input === "object" ? input.fd : undefined;
}

type Report = { readonly pid: Promise<number>; readonly main: Promise<ExitStatus>; readonly orphans: Promise<ReadonlyMap<number, ExitStatus>> };

/** Reads the supervisor's lines; their form is described in guest/supervise.c. */
function followReport(child: ChildProcess, fd: number): Report {
  const pid = Promise.withResolvers<number>();
  const main = Promise.withResolvers<ExitStatus>();
  const orphans = Promise.withResolvers<ReadonlyMap<number, ExitStatus>>();
  const ended = new Map<number, ExitStatus>();
  const take = (line: string) => {
    const [event, ...words] = line.split(" ");
    const [first = 0, second = 0, third = 0] = words.map(Number);
    if (event === "pid") pid.resolve(first);
    else if (event === "main") main.resolve(exitStatus(first, second));
    else if (event === "orphan") ended.set(first, exitStatus(second, third));
    else main.reject(new Error(line));
  };
  let rest = "";
  const pipe = child.stdio[fd] as Readable;
  pipe.setEncoding("utf8");
  pipe.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(take);
  });
  pipe.on("close", () => {
    main.reject(new Error("the supervisor ended without a status"));
    pid.reject(new Error("the supervisor ended without a pid"));
    orphans.resolve(ended);
  });
  child.on("error", (error) => main.reject(error));
  return { pid: pid.promise, main: main.promise, orphans: orphans.promise };
}

function exitStatus(code: number, signal: number): ExitStatus {
  return code < 0 ? { code: null, signal } : { code, signal: null };
}

async function withDeadline(main: Promise<ExitStatus>, call: Call, command: readonly string[], ms: number): Promise<ExitStatus> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(async () => {
      process.kill(await call.pid, "SIGKILL");
      reject(new Error(`${command.join(" ")}: still running after ${ms} ms; stderr: ${call.stderr}`));
    }, ms);
  });
  try {
    return await Promise.race([main, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The mode, and the platform, that this run of the tests is about. The contract of OCI runtimes, which these tests are, is that of namespace mode; those of a sandbox say
 * so, by an option or by naming another mode here.
 */
function mode(): Readonly<Record<string, string>> {
  const { TSSANDBOX_PLATFORM, TSSANDBOX_POLICY } = process.env;
  return { TSSANDBOX_MODE: process.env["TSSANDBOX_MODE"] ?? "namespace", ...(TSSANDBOX_PLATFORM !== undefined && { TSSANDBOX_PLATFORM }), ...(TSSANDBOX_POLICY !== undefined && { TSSANDBOX_POLICY }) };
}
