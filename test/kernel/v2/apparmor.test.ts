// AppArmor profiles, on a kernel that enforces them.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { uniqueId, workDir } from "../../support/paths.ts";

const main = `${uniqueId()}-main`;
const other = `${uniqueId()}-other`;
/** Does not allow executing anything. */
const final = `${uniqueId()}-final`;
const file = `${workDir}/profiles`;

const profile = (name: string, rules: string) => `profile ${name} flags=(attach_disconnected) { file, capability, network, mount, signal, umount, ptrace, ${rules} }\n`;

beforeAll(() => {
  const withoutExec = `profile ${final} flags=(attach_disconnected) { / r, /** mrw, }\n`;
  writeFileSync(file, profile(main, "deny /etc/forbidden r,") + profile(other, "") + withoutExec);
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

  test("the program need not be executable under its profile: the transition is its own", async () => {
    await using c = make({ args: ["sleep", "100"], edit: (spec) => { spec.process!.apparmorProfile = final; } });
    await c.mustBegin();
    expect(await c.exec(["cat", "/proc/self/attr/apparmor/current"])).toMatchObject({ code: 0, stdout: `${final} (enforce)\n` });
    expect(await c.exec(["cat", "/proc/self/attr/apparmor/current"], { flags: ["--apparmor", other] })).toMatchObject({ code: 0, stdout: `${other} (enforce)\n` });
    expect(await c.exec(["sh", "-c", "/bin/true"])).toMatchObject({ code: 126, stderr: expect.stringContaining("Permission denied") });
    // 3 is the shell's own, of the directory that it reads.
    expect(await c.exec(["sh", "-c", "echo /proc/self/fd/*"])).toMatchObject({ stdout: "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n" });
  });

  const filtered = (apparmorProfile: string) => make({ args: ["true"], edit: (spec) => {
    spec.process!.apparmorProfile = apparmorProfile;
    spec.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["openat"], action: "SCMP_ACT_ERRNO" }] };
  } });

  test("under a filter that forbids opening files, the profile must allow executing the program", { cannot: { runc: "it writes the label before the filter is loaded" } }, async () => {
    await using allowed = filtered(main);
    await allowed.mustRun();
    await using refused = filtered(final);
    expect(await refused.run()).toMatchObject({ code: 126, stderr: expect.stringContaining("the kernel refused the program") });
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
