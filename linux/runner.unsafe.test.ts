import process from "node:process";
import { expect, test } from "vitest";
import { SYS } from "./arch.ts";
import { Fd } from "./fd.ts";
import { bytesAt, permanentBlock } from "./memory.unsafe.ts";
import { Runner } from "./runner.unsafe.ts";
import { syscall } from "./syscall.unsafe.ts";

test("a runner makes calls with our memory and descriptors, and stops at the first that fails", () => {
  const runner = new Runner();
  try {
    const { address, bytes } = permanentBlock(32);
    bytes.set(Buffer.from("/dev/zero\0"));
    runner.run([[SYS.getpid], [SYS.getppid], [SYS.openat, -100, address, 0], [SYS.close, -1], [SYS.getpid]]);
    const [pid, parent, opened = -1n, closed, last] = runner.finished().map(Number);
    expect({ pid, parent, closed, last }).toEqual({ pid: runner.pid, parent: process.pid, closed: -9, last: 0 });
    using zero = new Fd(Number(opened));
    runner.run([[SYS.read, zero.number, address, 4]]);
    expect(runner.finished()).toEqual([4n]);
    expect([...bytesAt(address, 6)]).toEqual([0, 0, 0, 0, ...Buffer.from("/z")]);
  } finally {
    process.kill(runner.pid, "SIGKILL");
    syscall(SYS.wait4, runner.pid, 0, 0x4000_0000, 0);
  }
});
