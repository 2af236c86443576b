/** start fails, and the starter and init are killed, at every step: those of the starter and those that init takes then. */
import { expect } from "vitest";
import { processesOf } from "../../support/host.ts";
import { consolePath, describeWalk } from "./walk.ts";

await describeWalk({
  command: "start",
  userNamespace: false,
  minimum: 8,
  prepare: async (c, env) => await c.mustCreate({ env, flags: ["--console-socket", consolePath(c)] }),
  begin: (c, env) => c.call("start", [c.id], { env }),
  failure: 1,
  initMayStay: true,
  leavesNothing: false,
  shared: false,
  afterFailure: async (c) => {
    // It can be started still, or has ended; it does not run.
    if ((await c.status()) === "created") return;
    expect(await c.status()).toBe("stopped");
    expect(processesOf(c.id)).toEqual([]);
  },
});
