/**
 * Labels of security modules that this host does not have: refused, since a label that nothing enforces would be a promise broken in silence.
 * What they do where there is AppArmor: test/kernel/v2/apparmor.test.ts.
 */
import { existsSync, readFileSync } from "node:fs";
import { beforeAll, expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import type { Spec } from "../../support/spec.ts";

beforeAll(() => {
  const modules = existsSync("/sys/kernel/security/lsm") ? readFileSync("/sys/kernel/security/lsm", "utf8") : "";
  if (/apparmor|selinux/.test(modules)) throw new Error(`this host has ${modules}: these tests are for one without AppArmor and SELinux`);
});

const context = "system_u:system_r:container_t:s0:c1,c2";
const fields: [string, (spec: Spec) => void, RegExp][] = [
  ["process.apparmorProfile", (spec) => { spec.process!.apparmorProfile = "a-profile"; }, /apparmorProfile: "a-profile" is set, but AppArmor is not enabled on this host/],
  ["process.selinuxLabel", (spec) => { spec.process!.selinuxLabel = context; }, /selinuxLabel: ".*container_t.*" is set, but SELinux is not enabled on this host/],
  ["linux.mountLabel", (spec) => { spec.linux.mountLabel = context; }, /linux\.mountLabel: ".*container_t.*" is set, but SELinux is not enabled on this host/],
];
const words = { cannot: { "runc 1": "has other words, or none" } };

describeRuntime("labels on a host without their security module", ({ test, make }) => {
  for (const [field, edit, message] of fields) {
    test(`${field} is refused in one line and leaves nothing`, words, async () => {
      await using c = make({ edit });
      const result = await c.create();
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(message);
      expect(result.stderr.trimEnd()).not.toContain("\n");
      await c.expectNothingLeft();
    });
  }

  test("empty ones are as good as none", async () => {
    await using c = make({ args: ["echo", "fine"], edit: (spec) => {
      Object.assign(spec.process!, { apparmorProfile: "", selinuxLabel: "" });
      spec.linux.mountLabel = "";
    } });
    expect(await c.mustRun()).toBe("fine\n");
  });

  test("exec --apparmor, --process-label and a process document with labels end with 255, and the container goes on", words, async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const results = [
      await c.exec(["true"], { flags: ["--apparmor", "a-profile"] }),
      await c.exec([], { process: { args: ["true"], apparmorProfile: "a-profile" } }),
      await c.exec(["true"], { flags: ["--process-label", context] }),
      await c.exec([], { process: { args: ["true"], selinuxLabel: context } }),
    ];
    expect(results.map(({ code }) => code)).toEqual([255, 255, 255, 255]);
    for (const { stderr } of results.slice(0, 2)) expect(stderr).toMatch(/AppArmor is not enabled/);
    for (const { stderr } of results.slice(2)) expect(stderr).toMatch(/SELinux is not enabled/);
    expect(await c.status()).toBe("running");
  });
});
