/**
 * Random system calls and random file operations by guests of every strength, for TSSANDBOX_FUZZ_SECONDS each (60 unless set). The seed is
 * TSSANDBOX_FUZZ_SEED, or the time; it is printed, and a run with the same seed makes the same choices, though threads race as they like.
 */
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { succeed, type Container } from "../support/container.ts";
import type { Bundle } from "../support/bundle.ts";
import { removeWorkDir } from "../support/paths.ts";
import type { Spec } from "../support/spec.ts";
import { expectAnswers, expectGoneAfterDelete, hostile, hostState, sandboxOf, volume } from "./support.ts";

afterAll(removeWorkDir);

const full = Number(process.env["TSSANDBOX_FUZZ_SECONDS"] ?? 60);
const seed = process.env["TSSANDBOX_FUZZ_SEED"] ?? String(Date.now() % 1_000_000);
console.log(`fuzzing: TSSANDBOX_FUZZ_SEED=${seed} TSSANDBOX_FUZZ_SECONDS=${full}`);

/** A volume, and beside it what must not change. */
function lend(spec: Spec, bundle: Bundle): void {
  for (const name of ["volume", "canary"]) mkdirSync(bundle.path(name));
  writeFileSync(bundle.path("canary", "file"), "untouched");
  mkdirSync(`${bundle.rootfs}/volume`);
  spec.mounts.push(volume(bundle.path("volume"), "/volume"));
  spec.linux.resources = { ...spec.linux.resources, pids: { limit: 200 }, memory: { limit: 512 << 20 } };
}

/** Names, types, owners, modes and contents: all of a tree on the host that a guest must not change. */
function fingerprint(c: Container): string {
  const trees = [c.rootfs, c.bundle.path("canary")];
  const list = execFileSync("find", [...trees, "-printf", "%p %y %U:%G %m %s %l %T@\n"], { encoding: "utf8" });
  return createHash("sha256").update(list.split("\n").sort().join("\n")).digest("hex");
}

async function fuzz(program: string, directories: readonly string[], { policy = "balanced", seconds = full }: { readonly policy?: string; readonly seconds?: number } = {}): Promise<string> {
  await using c = hostile({ programs: [program], edit: (spec, bundle) => {
    lend(spec, bundle);
    Object.assign(spec, { annotations: { "dev.tssandbox.policy": policy } });
  } });
  await c.mustBegin();
  const record = sandboxOf(c);
  const before = { host: hostState(), files: fingerprint(c) };
  // Killed by its own kill(-1), or by the kernel for memory, it has done what it is for.
  const result = await c.exec([`/${program}`, seed, String(seconds), ...directories], { timeout: (seconds + 60) * 1000, process: { args: [`/${program}`, seed, String(seconds), ...directories], capabilities: c.spec.process!.capabilities! } });
  succeed(program, result);
  await expectAnswers(c, record);
  expect({ host: hostState(), files: fingerprint(c) }).toEqual(before);
  expect(await c.status()).toBe("running");
  await expectGoneAfterDelete(c);
  return result.stdout;
}

test("random system calls", { timeout: (full + 120) * 1000 }, async () => {
  const output = await fuzz("calls", ["/tmp", "/volume"]);
  const [, calls, children] = /calls (\d+) children (\d+)/.exec(output)?.map(Number) ?? [];
  console.log(output);
  expect(calls).toBeGreaterThan(100 * full);
  expect(children).toBeGreaterThan(full);
});

test("random operations on files of the root and of a volume", { timeout: (full + 120) * 1000 }, async () => {
  const [, operations] = /operations (\d+)\n/.exec(await fuzz("files", ["/tmp", "/volume"]))?.map(Number) ?? [];
  console.log(`${operations} operations`);
  expect(operations).toBeGreaterThan(100 * full);
});

/** A sixth of the time: what it is there for are the sentry's answers, not the kernel's. */
const strictly = { policy: "strict", seconds: Math.ceil(full / 6) };

const programs: readonly [what: string, program: string, count: RegExp][] = [
  ["random system calls, under the policy strict", "calls", /calls (\d+) children/],
  ["random operations on files, under the policy strict", "files", /operations (\d+)\n/],
];
test.each(programs)("%s", { timeout: (full + 120) * 1000 }, async (_what, program, count) => {
  const output = await fuzz(program, ["/tmp", "/volume"], strictly);
  console.log(output);
  // A descriptor takes a tracer several times as long.
  const least = process.env["TSSANDBOX_PLATFORM"] === "ptrace" ? 3 : 20;
  expect(Number(count.exec(output)?.[1])).toBeGreaterThan(least * strictly.seconds);
});
