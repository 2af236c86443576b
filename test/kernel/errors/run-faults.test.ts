/** run --detach fails, and each of its processes is killed, at every step. */
import { existsSync } from "node:fs";
import { expect } from "vitest";
import { consolePath, describeWalk } from "./walk.ts";

await describeWalk({
  command: "run",
  userNamespace: false,
  minimum: 53,
  prepare: async () => {},
  begin: (c, env) => c.call("run", [c.id], { env, flags: ["--detach", "--bundle", c.bundle.dir, "--pid-file", c.pidFile, "--console-socket", consolePath(c)] }),
  failure: 1,
  initMayStay: true,
  leavesNothing: true,
  shared: false,
  afterFailure: async (c) => {
    await c.expectNothingLeft();
    expect(existsSync(c.pidFile)).toBe(false);
  },
});
