/** The C programs of test/guest, built for one test file. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const sources = join(import.meta.dirname, "../../guest");

export interface Result {
  /** The exit code, or 128 and the signal. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Programs implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "tssandbox-policies-"));

  /** @returns the path of the executable made from test/guest/NAME.c. */
  build(name: string, ...flags: readonly string[]): string {
    const target = this.path(name);
    execFileSync("gcc", ["-O2", "-Wall", "-Wextra", "-Werror", ...flags, "-o", target, join(sources, `${name}.c`)], { stdio: "inherit" });
    return target;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Runs a program as root of a user namespace, and of namespaces below it that nobody else is in. */
  runInside(words: readonly string[], input = ""): Result {
    const namespaces = ["--user", "--map-root-user", "--mount", "--pid", "--fork", "--ipc", "--uts", "--net", "--cgroup"];
    return spawnSync("unshare", [...namespaces, ...words], { input, encoding: "utf8", timeout: 50_000, maxBuffer: 2 ** 24 });
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
