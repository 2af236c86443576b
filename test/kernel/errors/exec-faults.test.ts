/** exec fails, and each of its processes is killed, at every step: the container goes on as it was. */
import { existsSync, rmSync } from "node:fs";
import { expect } from "vitest";
import type { Container } from "../../support/container.ts";
import { processesOf } from "../../support/host.ts";
import { until } from "../../support/until.ts";
import { consolePath, describeWalk } from "./walk.ts";

const pidFile = (c: Container): string => c.bundle.path("exec.pid");

await describeWalk({
  command: "exec",
  userNamespace: true,
  minimum: 25,
  prepare: async (c) => await c.mustBegin({ flags: ["--console-socket", consolePath(c)] }),
  begin: (c, env) => {
    rmSync(pidFile(c), { force: true });
    return c.startExec([], { env, process: { ...c.spec.process!, args: ["sleep", "50"] }, flags: ["--detach", "--pid-file", pidFile(c), "--console-socket", consolePath(c)] });
  },
  failure: 255,
  initMayStay: false,
  leavesNothing: false,
  shared: true,
  afterFailure: async (c) => {
    await until("the container alone", () => processesOf(c.id).join() === `${c.pid} sleep 100`);
    expect(await c.status()).toBe("running");
    expect(existsSync(pidFile(c))).toBe(false);
  },
});
