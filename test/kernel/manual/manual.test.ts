// Completion and manual page, made from the commands, as bash and groff take them.
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { ensurePackages } from "../../packages.ts";

const bin = join(import.meta.dirname, "../../../bin");
const tssandbox = (...args: readonly string[]): string => execFileSync(join(bin, "tssandbox"), args, { encoding: "utf8" });

/** The names in the list of commands that `--help` shows. */
const names = [...(tssandbox("--help").split("\nCommands:\n")[1] ?? "").matchAll(/^ {2}([a-z]+)/gm)].map(([, name = ""]) => name).filter((name) => name !== "help");

/** What is offered for the last of these words. */
function offered(...words: readonly string[]): string[] {
  const script = `source <(tssandbox completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tssandbox; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const result = spawnSync("bash", ["-euc", script, "bash", ...words], { encoding: "utf8", env: { ...process.env, PATH: `${bin}:${process.env["PATH"]}` } });
  if (result.status !== 0) throw new Error(result.stderr);
  return result.stdout.split("\n").filter((word) => word !== "");
}

describe("bash completion", () => {
  test("offers every command", () => {
    expect(names.length).toBeGreaterThan(20);
    expect(offered("tssandbox", "")).toEqual(expect.arrayContaining(names));
    expect(offered("tssandbox", "ex")).toEqual(["exec"]);
  });

  test("offers a command's flags and commands, and values that are to be chosen from", () => {
    expect(offered("tssandbox", "run", "--det")).toEqual(["--detach"]);
    expect(offered("tssandbox", "vm", "b")).toEqual(["build"]);
    expect(offered("tssandbox", "--mode", "")).toEqual(["namespace", "sentry", "vm"]);
    expect(offered("tssandbox", "--log", "/etc/hostn")).toEqual(["/etc/hostname"]);
  });
});

describe("the manual page", () => {
  beforeAll(async () => ensurePackages(["groff", "man-db"]));
  const page = tssandbox("man");

  test("is what groff takes without a complaint", () => {
    const result = spawnSync("groff", ["-man", "-ww", "-Tutf8", "-z"], { input: page, encoding: "utf8" });
    expect([result.status, result.stderr]).toEqual([0, ""]);
  });

  test("has every command, and every flag of it that --help shows", () => {
    const text = execFileSync("man", ["-l", "-"], { input: page, encoding: "utf8", env: { ...process.env, MANWIDTH: "300", LC_ALL: "C.UTF-8" } });
    for (const name of names) {
      expect(text).toMatch(new RegExp(`^ {3}${name}\\b`, "m"));
      const help = tssandbox(name, "--help");
      for (const [, flag = ""] of help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)) if (flag !== "--help") expect(text, `${name} ${flag}`).toContain(flag);
    }
  });
});
