/** A headless Chromium (Debian's), driven over its pipe: each message is JSON and ends with a NUL byte. Source: Chrome DevTools Protocol, tot. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { ensurePackages } from "../packages.ts";

/** Seconds in which a command is answered, on a machine that has much else to do. */
const PATIENCE = 120;

type Json = Record<string, unknown>;
interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Json;
  readonly result?: Json;
  readonly error?: { readonly message: string };
}

export interface View {
  readonly width: number;
  readonly height: number;
  readonly scheme?: "light" | "dark";
  /** As if it was printed. */
  readonly media?: "print";
}

export class Chromium implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #profile: string;
  readonly #commands: Writable;
  readonly #waiting = new Map<number, (message: Message) => void>();
  #sent = 0;
  #session: string | undefined;
  /** What happened since `open`: the protocol's events. */
  readonly events: Message[] = [];

  private constructor() {
    this.#profile = mkdtempSync(join(tmpdir(), "chromium-"));
    // As root there is no sandbox to be had, and what is opened is our own page. /dev/shm may be small in a container.
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--no-first-run", "--hide-scrollbars"];
    this.#process = spawn("chromium", [...flags, "--remote-debugging-pipe", `--user-data-dir=${this.#profile}`, "about:blank"], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"], detached: true });
    this.#commands = this.#process.stdio[3] as Writable;
    this.#commands.on("error", () => {}); // its end is told of by "exit"
    this.#listen(this.#process.stdio[4] as Readable);
    this.#process.once("error", (error) => this.#giveUp(error.message));
    this.#process.once("exit", (code, signal) => this.#giveUp(`chromium ended: ${signal ?? code}`));
  }

  static async start(): Promise<Chromium> {
    await ensurePackages(["chromium", "fonts-dejavu-core"]);
    return new Chromium();
  }

  #listen(answers: Readable): void {
    let rest = "";
    answers.setEncoding("utf8").on("data", (text: string) => {
      const messages = (rest + text).split("\0");
      rest = messages.pop() ?? "";
      for (const message of messages) this.#take(JSON.parse(message) as Message);
    });
  }

  #take(message: Message): void {
    if (message.id === undefined) this.events.push(message);
    else this.#waiting.get(message.id)?.(message);
  }

  #giveUp(why: string): void {
    for (const answer of this.#waiting.values()) answer({ error: { message: why } });
  }

  /** @throws Error with what Chromium says, or that it says nothing. */
  send(method: string, params: Json = {}): Promise<Json> {
    const id = ++this.#sent;
    const session = this.#session === undefined ? {} : { sessionId: this.#session };
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#take({ id, error: { message: `no answer within ${PATIENCE} s` } }), PATIENCE * 1000);
      this.#waiting.set(id, ({ result, error }) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        if (error === undefined) resolve(result ?? {});
        else reject(new Error(`${method}: ${error.message}`));
      });
      if (this.#process.exitCode === null && this.#process.signalCode === null) this.#commands.write(`${JSON.stringify({ id, method, params, ...session })}\0`);
      else this.#giveUp("chromium has ended");
    });
  }

  /** Opens the page in a tab of its own, and waits until it has been loaded. */
  async open(url: string, { width, height, scheme = "light", media }: View): Promise<void> {
    this.#session = undefined;
    this.events.length = 0;
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    this.#session = sessionId as string;
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await this.send(`${domain}.enable`);
    await this.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
    await this.send("Emulation.setEmulatedMedia", { media: media ?? "", features: [{ name: "prefers-color-scheme", value: scheme }] });
    await this.send("Page.navigate", { url });
    // "load" comes after all that the page fetches; the promise is answered at once where it has been.
    await this.evaluate("document.readyState === 'complete' ? 0 : new Promise((resolve) => addEventListener('load', () => resolve(0)))");
  }

  /** Of an expression, or of the promise that it is. @throws Error as the page does. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return (result as { value: T }).value;
  }

  /** PNG; of the whole page where `whole`. */
  async screenshot(whole: boolean): Promise<Buffer> {
    const { data } = await this.send("Page.captureScreenshot", { captureBeyondViewport: whole, ...(whole && { clip: await this.#extent() }) });
    return Buffer.from(data as string, "base64");
  }

  async #extent(): Promise<Json> {
    const { cssContentSize } = await this.send("Page.getLayoutMetrics");
    return { ...(cssContentSize as Json), scale: 1 };
  }

  /** As "Print" would make it, with the page's own size of paper. */
  async pdf(): Promise<Buffer> {
    const { data } = await this.send("Page.printToPDF", { preferCSSPageSize: true });
    return Buffer.from(data as string, "base64");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    if (this.#process.pid !== undefined && this.#process.exitCode === null && this.#process.signalCode === null) {
      // Its helpers, too, which would go on writing for a moment: it leads a process group of its own.
      process.kill(-this.#process.pid, "SIGKILL");
      await ended;
    }
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}
