import { spawn } from "node:child_process";
import { once } from "node:events";
import { guestProgram } from "./guest.ts";
import { until } from "./until.ts";

/** A helper program that listens on a unix socket for what a runtime sends: see guest/console.c and guest/notify.c. */
export class Listener implements AsyncDisposable {
  readonly socket: string;
  readonly #child;
  #output = "";

  private constructor(program: "console" | "notify", socket: string, words: readonly string[]) {
    this.socket = socket;
    this.#child = spawn(guestProgram(program), [socket, ...words], { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdin.on("error", () => {});
    this.#child.stdout.setEncoding("utf8");
    this.#child.stdout.on("data", (chunk: string) => {
      this.#output += chunk;
    });
  }

  /** Starts the program and waits until the socket can be connected to. */
  static async start(program: "console" | "notify", socket: string, ...words: string[]): Promise<Listener> {
    const listener = new Listener(program, socket, words);
    await listener.matching(/^listening\n/);
    return listener;
  }

  /** Everything printed so far. */
  get output(): string {
    return this.#output;
  }

  async matching(pattern: RegExp): Promise<RegExpExecArray> {
    return await until(`output ${pattern} of the listener`, () => pattern.exec(this.#output) ?? undefined);
  }

  /** Writes to the terminal. */
  type(text: string): void {
    this.#child.stdin.write(text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}
