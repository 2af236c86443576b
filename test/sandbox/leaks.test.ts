/** What the inside of a sandbox tells about the host: nothing but what is listed in leaks.ts. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { hostname, release } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { projectRoot, removeWorkDir, workDir } from "../support/paths.ts";
import { HIDDEN, limits, OWN, TOLD } from "./leaks.ts";
import { bash, runInSandbox } from "./support.ts";

afterAll(removeWorkDir);

type Answers = Readonly<Record<string, unknown>>;

const script = readFileSync(join(import.meta.dirname, "leaks.py"), "utf8");
const own = new Set<string>([...HIDDEN, ...TOLD, ...OWN].map(({ what }) => what));
let host: Answers = {};
let sandbox: Answers = {};

beforeAll(async () => {
  host = JSON.parse(execFileSync("python3", ["-c", script, "host"], { encoding: "utf8" })) as Answers;
  const done = await runInSandbox({ args: ["python3", "-c", script], edit: (spec) => Object.assign(spec.linux.resources!, limits) });
  expect(done).toMatchObject({ code: 0, stderr: "" });
  sandbox = JSON.parse(done.stdout) as Answers;
});

describe("hidden", () => {
  test.each(HIDDEN)("$what", ({ what, instead }) => {
    if (typeof instead === "function") expect((instead as (value: unknown) => boolean)(sandbox[what]), JSON.stringify(sandbox[what])).toBe(true);
    else expect(sandbox[what]).toEqual(instead);
  });
});

describe("told", () => {
  test.each(TOLD)("$what", ({ what, within }) => {
    if (within === undefined) expect(sandbox[what]).toEqual(host[what]);
    else expect(Math.abs((sandbox[what] as number) - (host[what] as number))).toBeLessThan(within);
  });
});

test("there is no answer that is not sorted into one of the lists", () => {
  expect(Object.keys(sandbox).filter((what) => !own.has(what))).toEqual([]);
});

/** Words that would give the host away. */
function secrets(): string[] {
  const disk = /^(\S+) \/ (?!overlay|rootfs)/m.exec(readFileSync("/proc/mounts", "utf8"))?.[1];
  const ids = ["/etc/machine-id", "/proc/sys/kernel/random/boot_id"].filter((path) => existsSync(path)).map((path) => readFileSync(path, "utf8").trim());
  return [release(), projectRoot, workDir, "tssbtest-", ...ids, ...(hostname().length > 4 ? [hostname()] : []), ...(disk?.startsWith("/") === true ? [disk] : [])];
}

test("no readable file of /proc, /sys and /dev has a word of the host's", async () => {
  const everything = "exec 2> /dev/null < /dev/null; for f in $(find /proc /sys -type f ! -path '/proc/*/task/*' ! -path '/proc/[2-9]*' ! -name kmsg ! -name mem ! -name pagemap ! -name clear_refs); do echo \"== $f\"; timeout 2 head -c 60000 $f; done; find /proc/1 /proc/self /dev /sys -type l -printf '%p %l\\n'; env; exit 0";
  const { code, stdout } = await runInSandbox({ args: bash(`(${everything}) | cat`) });
  expect(code).toBe(0);
  expect(stdout.split("\n== ").length).toBeGreaterThan(300);
  // The caller's files, which it gives as standard output and error, have their names on the host.
  const lines = stdout.split("\n").filter((line) => !/^\/proc\/(1|self)\/(task\/\d+\/)?fd\/[012] /.test(line));
  expect(lines.filter((line) => secrets().some((secret) => line.includes(secret)))).toEqual([]);
});
