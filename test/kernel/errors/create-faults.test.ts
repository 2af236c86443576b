/** create fails, and each of its processes is killed, at every step. */
import { existsSync } from "node:fs";
import { expect } from "vitest";
import { consolePath, describeWalk } from "./walk.ts";

await describeWalk({
  command: "create",
  userNamespace: true,
  minimum: 45,
  prepare: async () => {},
  begin: (c, env) => c.call("create", [c.id], { env, flags: ["--bundle", c.bundle.dir, "--pid-file", c.pidFile, "--console-socket", consolePath(c)] }),
  failure: 1,
  initMayStay: false,
  leavesNothing: true,
  shared: false,
  afterFailure: async (c) => {
    await c.expectNothingLeft();
    expect(existsSync(c.pidFile)).toBe(false);
  },
});
