/** Containers of one sandbox, against each other: each as root with every capability, and they share network and ipc, as a pod's do. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { joining } from "../../kernel/sandbox/group.ts";
import type { Container } from "../../support/container.ts";
import { isAlive, statusField } from "../../support/host.ts";
import { removeWorkDir } from "../../support/paths.ts";
import { attempt, expectAnswers, hostile, sandboxOf, TRACING_IS_REFUSED } from "../support.ts";

afterAll(removeWorkDir);

/** Its attempts, each with its outcome. */
const outcomes = async (c: Container, attempts: readonly string[]) => [...new Set(Object.values(await attempt(c, attempts)))];

/** After so many that no other container has got as far: a number that means something there would be its own. */
const MANY = "i=0; while [ $i -lt 150 ]; do /bin/true; i=$((i+1)); done; sleep 1001 & echo ready; wait";

/** Of the last process, as the host, the sandbox and the container count it. */
async function pidsOfLast(c: Container): Promise<number[]> {
  const [, last = 0] = JSON.parse(await c.mustCommand("ps", [], { flags: ["--format", "json"] })) as number[];
  return statusField(last, "NSpid")?.split("\t").map(Number) ?? [];
}

const SYSCALL = { shmget: 29, shmctl: 31, pidfd_open: 434 } as const;

describe("with processes of their own", () => {
  let first: Container;
  let member: Container;
  beforeAll(async () => {
    first = hostile({ args: ["sh", "-c", MANY] });
    await first.mustBegin();
    await first.outputMatching(/ready/, 20_000);
    member = hostile(joining(first, { shares: ["network", "ipc"], args: ["sleep", "1002"] }));
    await member.mustBegin();
  });
  afterAll(async () => {
    await member[Symbol.asyncDispose]();
    await first[Symbol.asyncDispose]();
  });

  test("one cannot name, signal, trace or read the other's processes", async () => {
    const foreign = await pidsOfLast(first);
    expect(foreign.filter((pid) => pid > 150)).toHaveLength(3);
    const attempts = foreign.flatMap((pid) => [`kill ${pid} 0`, `kill ${pid} 9`, `ptrace ${pid}`, `call ${SYSCALL.pidfd_open} ${pid} 0`]);
    expect(await outcomes(member, attempts)).toEqual(TRACING_IS_REFUSED ? ["ESRCH", "EPERM"] : ["ESRCH"]);
    expect(await outcomes(member, foreign.flatMap((pid) => [`cat /proc/${pid}/environ`, `open /proc/${pid}/mem r`, `list /proc/${pid}`, `link /proc/${pid}/root`]))).toEqual(["ENOENT"]);
    // The same, where it is at home.
    expect(await outcomes(first, [`kill ${foreign[2]} 0`, `call ${SYSCALL.pidfd_open} ${foreign[2]} 0`])).toEqual(["ok"]);
    // All that there are does not have it either.
    await member.exec(["/try", "kill", "-1", "9"]);
    expect(isAlive(foreign[0]!)).toBe(true);
  });

  test("System V shared memory of the one, closed to others, is closed to the other's root", async () => {
    const [KEY, CREATE, MODE] = [4711, 0o1000, 0o600];
    expect(await attempt(first, [`call ${SYSCALL.shmget} ${KEY} 4096 ${CREATE | MODE}`])).toEqual({ [`call ${SYSCALL.shmget} ${KEY} 4096 ${CREATE | MODE}`]: "ok" });
    const IPC_RMID = 0;
    expect(await attempt(member, [`call ${SYSCALL.shmget} ${KEY} 4096 0`, `call ${SYSCALL.shmget} ${KEY} 4096 ${MODE}`, `call ${SYSCALL.shmctl} 0 ${IPC_RMID} 0`])).toEqual({
      [`call ${SYSCALL.shmget} ${KEY} 4096 0`]: "ok",
      [`call ${SYSCALL.shmget} ${KEY} 4096 ${MODE}`]: "EACCES",
      [`call ${SYSCALL.shmctl} 0 ${IPC_RMID} 0`]: "EPERM",
    });
  });

  test("calls of the one, as many as it can make, keep the other waiting, but not for long", async () => {
    const flood = member.startExec(["sh", "-c", "for i in 1 2 3 4; do while :; do uname; done > /dev/null & done; wait"]);
    const record = sandboxOf(first);
    for (let i = 0; i < 5; i++) await expectAnswers(first, record);
    process.kill(await flood.pid, "SIGKILL");
    await expectAnswers(member, sandboxOf(member));
  });

  test("a fork bomb in the one, within its own limit, and the other goes on", async () => {
    const record = sandboxOf(first);
    await member.mustCommand("update", [], { flags: ["--pids-limit", "40"] });
    const bomb = member.startExec(["/try", "fork-bomb"]);
    for (let i = 0; i < 3; i++) await expectAnswers(first, record);
    process.kill(await bomb.pid, "SIGKILL");
    expect(isAlive(record.sentry.pid)).toBe(true);
  });
});

describe("with shared processes", () => {
  test("who enters cannot be looked into, nor traced, before it is its program", async () => {
    await using first = hostile({ args: ["/try", "hunt", "8"] });
    await first.mustBegin();
    for (let i = 0; i < 3; i++) {
      await using member = hostile(joining(first, { shares: ["network", "pid"], args: ["sleep", "1003"] }));
      await member.mustBegin();
    }
    const found = await first.outputMatching(/hunted \d+/, 20_000);
    const known = /^(exe|fd|root|cwd|traced) (\/bin\/busybox|\/try|\/memfd:tssandbox-exec \(deleted\)|\/dev\/null|\/|pipe:.*|\/.*\.(out|err|in)|socket:.*)$|^hunted/;
    expect(found.split("\n").filter((line) => line !== "" && !known.test(line))).toEqual([]);
    expect(found).toContain("exe /bin/busybox");
    await expectAnswers(first, sandboxOf(first));
  });
});
