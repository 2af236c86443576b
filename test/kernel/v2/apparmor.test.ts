// AppArmor profiles, on a kernel that enforces them.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { uniqueId, workDir } from "../../support/paths.ts";

const main = `${uniqueId()}-main`;
const other = `${uniqueId()}-other`;
const file = `${workDir}/profiles`;

const profile = (name: string, rules: string) => `profile ${name} flags=(attach_disconnected) { file, capability, network, mount, signal, umount, ptrace, ${rules} }\n`;

beforeAll(() => {
  writeFileSync(file, profile(main, "deny /etc/forbidden r,") + profile(other, ""));
  execFileSync("apparmor_parser", ["--replace", file]);
});

afterAll(() => execFileSync("apparmor_parser", ["--remove", file]));

const label = ["cat", "/proc/self/attr/apparmor/current", "/etc/forbidden"];

describeRuntime("AppArmor", ({ test, make }) => {
  test("the profile confines the container's process, and those that exec adds", async () => {
    await using c = make({ args: ["sh", "-c", "cat /proc/self/attr/apparmor/current /etc/forbidden; exec sleep 100"], edit: (spec, bundle) => {
      spec.process!.apparmorProfile = main;
      bundle.file("etc/forbidden", "secret\n");
    } });
    await c.mustBegin();
    await c.outputMatching(/enforce/);
    expect(c.stdout).toBe(`${main} (enforce)\n`);
    expect(await c.exec(label)).toMatchObject({ code: 1, stdout: `${main} (enforce)\n`, stderr: expect.stringContaining("/etc/forbidden': Permission denied") });
    expect(await c.exec(label, { flags: ["--apparmor", other] })).toMatchObject({ code: 0, stdout: `${other} (enforce)\nsecret\n` });
    expect(await c.mustExec([], { process: { args: label, apparmorProfile: other, noNewPrivileges: true } })).toBe(`${other} (enforce)\nsecret\n`);
    const unknown = await c.exec(label, { flags: ["--apparmor", "no-such-profile"] });
    expect(unknown).toMatchObject({ code: 255, stdout: "", stderr: expect.stringContaining('process.apparmorProfile: "no-such-profile" is not loaded on this host') });
  });

  test("without one the container is unconfined", async () => {
    await using c = make({ args: ["cat", "/proc/self/attr/apparmor/current"] });
    expect(await c.mustRun()).toBe("unconfined\n");
  });

  test("a profile that is not loaded fails create and leaves nothing", async () => {
    await using c = make({ edit: (spec) => { spec.process!.apparmorProfile = "no-such-profile"; } });
    const result = await c.create();
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining('process.apparmorProfile: "no-such-profile" is not loaded on this host') });
    await c.expectNothingLeft();
  });
});
