/** Small memory limits: what init touches on its way from a process of ours to the program is charged to the container. */
import { afterAll, describe, expect, test } from "vitest";
import { cgroupVersion } from "../../support/cgroup.ts";
import { removeWorkDir } from "../../support/paths.ts";
import type { Spec } from "../../support/spec.ts";
import { expectOneLine, forceDelete, make } from "./own.ts";
import { consoleSocket, enrich } from "./rich.ts";

afterAll(removeWorkDir);

const MiB = 1 << 20;
const limit = (bytes: number) => (spec: Spec) => { Object.assign(spec.linux.resources!, { memory: { limit: bytes } }); };

/** Docker's smallest limit is 6 MiB; runc 1.1 needs 3. On v1 init joins after the mounts, and 512 KiB were enough when this was written. */
const SMALLEST = cgroupVersion() === 1 ? MiB : 6 * MiB;

describe("a container with a small memory limit", () => {
  test("runs, and runs a further process", async () => {
    await using c = make({ args: ["sleep", "100"], edit: limit(SMALLEST) });
    await c.mustBegin();
    for (let i = 0; i < 5; i++) await c.mustExec(["true"]);
    await forceDelete(c);
  });

  test("runs with 6 MiB and everything that a configuration can have", async () => {
    await using c = make({ args: ["sleep", "100"], edit: (spec, bundle) => {
      enrich(spec, bundle, true);
      limit(6 * MiB)(spec);
    } });
    const server = await consoleSocket(c.bundle.path("console.sock"));
    await c.mustBegin({ flags: ["--console-socket", c.bundle.path("console.sock")] });
    for (let i = 0; i < 3; i++) await c.mustExec(["true"]);
    await forceDelete(c);
    server.close();
  });

  test("too small for any process: one line that says so, nothing left", async () => {
    await using c = make({ args: ["sleep", "100"], edit: limit(128 << 10) });
    const result = await c.create();
    expectOneLine(result, 1);
    expect(result.stderr).toMatch(/memory/);
    await c.expectNothingLeft();
  });
});
