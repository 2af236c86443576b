import { simulator } from "seccomp-bpf-ts";
import { expect, test } from "vitest";
import { tracedPolicy } from "./compiled-ptrace.ts";
import { compilePolicy } from "./filter.ts";
import { balanced } from "./policy.ts";
import { errnos } from "./row.ts";
import { ones, zeros } from "./test-table.ts";

const notified = simulator(compilePolicy(balanced));
const traced = simulator(tracedPolicy());
const changed: ReadonlySet<string> = new Set(["ptrace", "clone", "sched_getaffinity", "sched_setaffinity"]);
const number = new Map(balanced.rows.map(({ name, nr }) => [name, nr]));

const made = (run: typeof traced, name: string, args: readonly (number | bigint)[]) => {
  const { action, data } = run({ arch: "x86_64", nr: number.get(name) ?? -1, args });
  return { action, data };
};

test("under a tracer a call traps to it that traps to a listener otherwise, and all others are what they are", () => {
  for (const { name } of balanced.rows.filter((row) => !changed.has(row.name))) {
    for (const args of [zeros, ones]) {
      const before = made(notified, name, args);
      expect([name, made(traced, name, args)]).toEqual([name, before.action === "notify" ? { action: "trace", data: 0 } : before]);
    }
  }
});

test("under a tracer no task traces another, and none is born untraced", () => {
  const CLONE_UNTRACED = 0x80_0000;
  const SIGCHLD = 17;
  for (const request of [0, 7, 16, 24, 0x4206]) expect(made(traced, "ptrace", [request])).toEqual({ action: "errno", data: errnos.EPERM });
  expect(made(traced, "clone", [CLONE_UNTRACED | SIGCHLD])).toEqual({ action: "errno", data: errnos.EPERM });
  expect(made(traced, "clone", [SIGCHLD])).toEqual(made(notified, "clone", [SIGCHLD]));
});

test("under a tracer the processors of a task are neither told nor set without it", () => {
  for (const name of ["sched_getaffinity", "sched_setaffinity"]) expect(made(traced, name, zeros)).toEqual({ action: "trace", data: 0 });
});
