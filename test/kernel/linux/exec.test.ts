import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { guestProgram } from "../../support/guest.ts";
import { runCase } from "../../support/forked.ts";
import { parseProbe } from "../../support/probe.ts";
import { uniqueId, workDir } from "../../support/paths.ts";

const script = fileURLToPath(new URL("scripts/exec.ts", import.meta.url));

const FORMAT_ERROR = "tssandbox: exec format error: the kernel does not know how to run this file\n";

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const run = (path: string, argv: readonly string[], env: readonly string[] = []) =>
  runCase(script, "run", path, JSON.stringify(argv), JSON.stringify(env)) as Outcome;

function program(content: string): string {
  const path = join(workDir, uniqueId());
  writeFileSync(path, content);
  chmodSync(path, 0o755);
  return path;
}

test("a program gets exactly the arguments and the environment, in order, empty ones included", () => {
  const argv = ["name", "", "a b", "ü", "-x", "$HOME"];
  const env = ["PATH=/bin", "EMPTY=", "PATH=/second", "odd"];
  const probe = parseProbe(run(guestProgram("probe"), argv, env).stdout);
  expect(probe.argv).toEqual(argv);
  expect(probe.env).toEqual(env);
});

test("an empty environment is empty", () => {
  expect(parseProbe(run(guestProgram("probe"), ["probe"]).stdout).env).toEqual([]);
});

test("/proc/self/exe is the program itself in the end", () => {
  expect(parseProbe(run(guestProgram("probe"), ["probe"]).stdout).exe).toBe(guestProgram("probe"));
});

test("the exit code of the program is passed", () => {
  expect(run("/bin/sh", ["sh", "-c", "exit 7"]).code).toBe(7);
});

test("arguments of 1.5 MB arrive", () => {
  expect(runCase(script, "big", "/usr/bin/printf")).toEqual({ code: 0, length: 1_500_000 });
});

test("arguments over the limit are an error before anything is replaced", () => {
  expect(runCase(script, "too big", "/usr/bin/printf")).toEqual({ many: "E2BIG", long: "E2BIG", nul: "EINVAL" });
});

test("the stub cannot be written, truncated or grown", () => {
  const { write, shrink, size } = runCase(script, "stub") as { write: string[]; shrink: string; size: number };
  expect(write).toEqual(["EPERM", "EPERM"]);
  expect(shrink).toBe("EPERM");
  expect(size).toBeGreaterThan(100);
  expect(size).toBeLessThan(4096);
});

/** CVE-2019-5736: whoever names the image that executes a container's program gets the stub, never the runtime's own program. */
test("a script with #!/proc/self/exe is handed to the stub, which refuses it", () => {
  expect(run(program("#!/proc/self/exe\n"), ["script"])).toEqual({ code: 126, stdout: "", stderr: FORMAT_ERROR });
});

test("a script whose interpreter is a link to /proc/self/exe is handed to the stub as well", () => {
  const link = join(workDir, uniqueId());
  symlinkSync("/proc/self/exe", link);
  expect(run(program(`#!${link} --eval=process.exit(5)\n`), ["script"])).toEqual({ code: 126, stdout: "", stderr: FORMAT_ERROR });
});

test("a program whose dynamic linker is /proc/self/exe has the stub for it", () => {
  const path = join(workDir, uniqueId());
  writeFileSync(`${path}.c`, "int main(void) { return 0; }\n");
  execFileSync("gcc", ["-Wl,--dynamic-linker=/proc/self/exe", "-o", path, `${path}.c`]);
  expect(run(path, ["program"])).toEqual({ code: 126, stdout: "", stderr: FORMAT_ERROR });
});

test("a file of no known format gives one line and 126", () => {
  expect(run(program("no format\n"), ["x"])).toEqual({ code: 126, stdout: "", stderr: FORMAT_ERROR });
});

test("a program that the kernel refuses otherwise gives one line and 126", () => {
  const { code, stderr } = run("/nowhere/program", ["x"]);
  expect(code).toBe(126);
  expect(stderr).toMatch(/^tssandbox: exec: the kernel refused the program .*\n$/);
});

/** Any directory will do for /proc/PID/attr; what a security module makes of it: test/kernel/v2/apparmor.test.ts. */
const withLabels = (writes: Readonly<Record<string, string>>, path = guestProgram("probe")) => {
  const directory = join(workDir, uniqueId());
  mkdirSync(join(directory, "apparmor"), { recursive: true });
  for (const name of ["exec", "apparmor/exec"]) writeFileSync(join(directory, name), "");
  const list = Object.entries(writes).map(([name, text]) => ({ name, text }));
  const outcome = runCase(script, "labels", directory, JSON.stringify(list), path) as Outcome;
  return { ...outcome, read: (name: string) => readFileSync(join(directory, name), "utf8") };
};

test("the stub writes labels where it is told, and the program gets none of its descriptors", () => {
  const { code, stdout, read } = withLabels({ "apparmor/exec": "exec a-profile", exec: "system_u:object_r:ü:s0" });
  expect(code).toBe(0);
  expect([read("apparmor/exec"), read("exec")]).toEqual(["exec a-profile", "system_u:object_r:ü:s0"]);
  expect(parseProbe(stdout).fds.map(({ fd }) => fd)).toEqual([1, 2]);
});

test("a label that cannot be written gives one line and 126, and the program does not run", () => {
  const refused = { code: 126, stdout: "", stderr: "tssandbox: exec: the kernel refused the security label\n" };
  expect(withLabels({ missing: "x" })).toMatchObject(refused);
  expect(withLabels({ exec: "x", missing: "y" })).toMatchObject(refused);
  expect(withLabels({ missing: "x", exec: "y" })).toMatchObject(refused);
});

test("with a label, too, a program that cannot be executed is told of as ever", () => {
  expect(withLabels({ exec: "x" }, "/nowhere/program")).toMatchObject({ code: 126, stderr: expect.stringContaining("refused the program") });
  expect(withLabels({ exec: "x" }, program("no format\n"))).toMatchObject({ code: 126, stderr: FORMAT_ERROR });
  expect(withLabels({ exec: "x" }, program("#!/proc/self/exe\n"))).toMatchObject({ code: 126, stderr: FORMAT_ERROR });
});

test("a script runs under its interpreter", () => {
  const path = program("#!/bin/sh\necho \"$0:$1\"\n");
  expect(run(path, ["ignored", "one"]).stdout).toBe(`${path}:one\n`);
});
