import { readFileSync } from "node:fs";
import { join } from "node:path";
import { compile, type Policy } from "seccomp-bpf-ts";
import { describe, expect, test } from "vitest";
import { ESCAPES, type Escape } from "./escape-table.ts";
import { judgeHunt } from "./escapes.ts";
import { judge, NO_CALL, parseAttempts, type Attempt } from "./judge.ts";
import { Stack } from "./reach.ts";
import type { GuestCode } from "./tasks.ts";

const direct = (rules: Policy["rules"], defaultAction: Policy["defaultAction"] = "allow"): GuestCode => {
  const program = compile({ defaultAction, architectures: ["x86_64"], rules });
  return { kind: "direct", filters: new Stack([program]), answers: ["notify", "trace"] };
};
const UNSHARE = 272;
const attempt = (result: string, more: Partial<Attempt> = {}): Attempt => ({ attempt: "x", result, nr: UNSHARE, args: [0x1000_0000n, 0n, 0n, 0n, 0n, 0n], fileSystem: 0, note: "", ...more });
const escape: Escape = { attempt: "x", name: "x", about: "" };
const allowed = direct([]);
const verdict = (...args: Parameters<typeof judge>) => judge(...args).verdict;

test("what succeeds and passes the filter has reached the host's kernel", () => {
  expect(judge(attempt("ok"), escape, allowed)).toEqual({ verdict: "reached", detail: "the host's kernel" });
});

test("what succeeds and is handed to the runtime is emulated", () => {
  expect(verdict(attempt("ok"), escape, direct([{ names: ["unshare"], action: "notify" }]))).toBe("emulated");
  const stub: GuestCode = { kind: "stub", filters: new Stack([compile({ defaultAction: "trap", architectures: ["x86_64"], rules: [] })]), answers: ["trap"] };
  expect(judge(attempt("ok"), escape, stub)).toEqual({ verdict: "emulated", detail: "a kernel of its own" });
  expect(verdict(attempt("ok"), escape, { kind: "elsewhere" })).toBe("emulated");
});

describe("what fails is blocked, by what stood in its way", () => {
  test.each([
    ["the filter", direct([{ names: ["unshare"], action: "errno", errno: 1 }]), "EPERM", "seccomp: EPERM"],
    ["the host's kernel", allowed, "EPERM", "capability: EPERM"],
    ["the runtime", direct([{ names: ["unshare"], action: "notify" }]), "EPERM", "the runtime: EPERM"],
    ["a kernel of its own", { kind: "elsewhere" }, "ENOSYS", "a kernel of its own: ENOSYS"],
    ["nobody knows", { kind: "unreadable", why: "EACCES" }, "EPERM", "not known by what: EPERM"],
  ] as const)("%s", (_what, guest, result, detail) => {
    expect(judge(attempt(result), escape, guest)).toEqual({ verdict: "blocked", detail });
  });

  test("the filter is asked for the very arguments", () => {
    const onlyUser = direct([{ names: ["unshare"], action: "errno", args: [{ index: 0, op: "eq", value: 0x1000_0000 }] }]);
    expect(judge(attempt("EPERM"), escape, onlyUser).detail).toBe("seccomp: EPERM");
    expect(judge(attempt("EPERM", { args: [0x2_0000n, 0n, 0n, 0n, 0n, 0n] }), escape, onlyUser).detail).toBe("capability: EPERM");
  });
});

test("an error that only somebody gets who had the permission is no refusal", () => {
  expect(judge(attempt("EBADF"), { ...escape, through: ["EBADF"] }, allowed)).toEqual({ verdict: "reached", detail: "the host's kernel, which then says EBADF" });
});

test("a file that the runtime serves is not the host's", () => {
  expect(verdict(attempt("ok", { fileSystem: 0x65735546 }), escape, allowed)).toBe("emulated");
  expect(verdict(attempt("ok", { fileSystem: 0x9fa0 }), escape, allowed)).toBe("reached");
});

test("no effect is blocked, no end unknown, and so is a success that the filters do not explain", () => {
  expect(judge(attempt("no effect", { nr: NO_CALL }), { ...escape, noEffect: "none" }, allowed)).toEqual({ verdict: "blocked", detail: "none" });
  expect(verdict(attempt("stuck"), escape, allowed)).toBe("unknown");
  expect(verdict(attempt("ok"), escape, { kind: "unreadable", why: "" })).toBe("unknown");
  expect(verdict(attempt("ok"), escape, direct([{ names: ["unshare"], action: "errno" }]))).toBe("unknown");
});

test("lines of the guest's", () => {
  expect(parseAttempts("noise\nmount\tEPERM\t165\t0x47e1e4 0xffffffffffffffff 0x0 0x0 0x0 0x0\t9fa0\ta note\n")).toEqual([
    { attempt: "mount", result: "EPERM", nr: 165, args: [0x47e1e4n, 0xffff_ffff_ffff_ffffn, 0n, 0n, 0n, 0n], fileSystem: 0x9fa0, note: "a note" },
  ]);
});

test("the table has the guest's attempts, each once", () => {
  const source = readFileSync(join(import.meta.dirname, "guest/escapes.c"), "utf8");
  const names = [...source.slice(source.indexOf("} attempts[] = {")).matchAll(/\{"([\w-]+)", \w+\}/g)].map((match) => match[1] ?? "");
  expect(ESCAPES.map((entry) => entry.attempt).sort()).toEqual(names.toSorted());
  expect(new Set(names).size).toBe(names.length);
  expect(ESCAPES.flatMap(({ families = [] }) => families).filter((family) => !/^CVE-\d{4}-\d{4,}$/.test(family))).toEqual([]);
});

describe("who enters by exec", () => {
  test.each([
    ["exe\t/usr/bin/runc\twritable\nhunted\t5\t0\n", "reached", "/usr/bin/runc is within reach, and writable"],
    ["cwd\t/\tseen\nhunted\t5\t0\n", "reached", "the cwd of a process that enters is outside: /"],
    ["exe\t/memfd:runc_cloned:/proc/self/exe (deleted)\tsealed\nhunted\t5\t0\n", "blocked", expect.stringContaining("(sealed)") as string],
    ["hunted\t5\t9\n", "blocked", "5 processes entered, and could not be looked into"],
    ["hunted\t5\t0\n", "blocked", "5 processes entered, none of them with another image than the guest's"],
    ["hunted\t0\t0\n", "unknown", "no process that enters was seen"],
  ])("%j: %s", (stdout, verdict, detail) => expect(judgeHunt(stdout)).toEqual({ verdict, detail }));
});
