import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { capabilitySet, parseProbe, type Probe } from "../../support/probe.ts";
import { runRuntime } from "../../support/runtime.ts";
import { guestProgram } from "../../support/guest.ts";
import type { Process, Spec } from "../../support/spec.ts";

const processWith = (fields: Partial<Process>) => (spec: Spec) => {
  Object.assign(spec.process!, fields);
};
const sets = (probe: Probe) => Object.fromEntries(Object.entries(probe.caps).map(([name, digits]) => [name, capabilitySet(digits)]));
const user = { uid: 1000, gid: 1000 };
const [a, b, c3] = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"] as const;

describeRuntime("process: capabilities", ({ test, make }) => {
  test("without the field every set is empty", { cannot: { "runc 1.3": "keeps the caller's bounding set" } }, async () => {
    await using c = make({ args: ["/probe"], edit: (spec) => { delete spec.process!.capabilities; spec.process!.user = user; } });
    expect(sets(await c.probe())).toEqual({ bounding: [], permitted: [], effective: [], inheritable: [], ambient: [] });
  });

  test("root gets what bounding and permitted allow; inheritable and ambient are empty unless asked for", async () => {
    await using c = make({ args: ["/probe"], edit: processWith({ capabilities: { bounding: [a, b], permitted: [a, b], effective: [a, b] } }) });
    expect(sets(await c.probe())).toEqual({ bounding: [a, b], permitted: [a, b], effective: [a, b], inheritable: [], ambient: [] });
  });

  test("permitted may be smaller than bounding", async () => {
    await using c = make({ args: ["/probe"], edit: processWith({ noNewPrivileges: true, capabilities: { bounding: [a, b, c3], permitted: [a, b], effective: [a] } }) });
    expect(sets(await c.probe())).toEqual({ bounding: [a, b, c3], permitted: [a, b], effective: [a, b], inheritable: [], ambient: [] });
  });

  test("an unprivileged user keeps only the ambient set", async () => {
    await using c = make({ args: ["/probe"], edit: processWith({ user, capabilities: { bounding: [a, b, c3], permitted: [a, b], effective: [a, b], inheritable: [a, b], ambient: [b] } }) });
    expect(sets(await c.probe())).toEqual({ bounding: [a, b, c3], permitted: [b], effective: [b], inheritable: [a, b], ambient: [b] });
  });

  test("an unprivileged user without ambient set has none, and its bounding set stays", async () => {
    await using c = make({ args: ["/probe"], edit: processWith({ user, capabilities: { bounding: [a], permitted: [a], effective: [a] } }) });
    expect(sets(await c.probe())).toEqual({ bounding: [a], permitted: [], effective: [], inheritable: [], ambient: [] });
  });

  test("a name that the kernel does not have is a warning, not a failure", async () => {
    await using c = make({ args: ["/probe"], edit: processWith({ capabilities: { bounding: [a, "CAP_NO_SUCH"], permitted: [a, "CAP_NO_SUCH"], effective: [a] } }) });
    const result = await c.run();
    expect(result.code, result.stderr).toBe(0);
    expect(result.stderr).toMatch(/CAP_NO_SUCH/);
    expect(sets(parseProbe(result.stdout)).bounding).toEqual([a]);
  });

  test("a capability that the caller does not have cannot be given: a warning, not a failure", { cannot: { "runc 1": "fails, which the specification advises against" } }, async () => {
    await using c = make({ args: ["/probe"], edit: processWith({ capabilities: { bounding: [a, b], permitted: [a, b], effective: [a, b] } }) });
    const result = await c.run({ prefix: ["setpriv", "--bounding-set", "-kill", "--inh-caps", "-kill"] });
    expect(result.code, result.stderr).toBe(0);
    expect(sets(parseProbe(result.stdout))).toMatchObject({ bounding: [a], permitted: [a] });
  });

  test("noNewPrivileges true and false", async () => {
    for (const value of [true, false]) {
      await using c = make({ args: ["/probe"], edit: processWith({ noNewPrivileges: value }) });
      expect((await c.probe()).noNewPrivs).toBe(Number(value));
    }
  });

  test("with noNewPrivileges a set-user-id program gains nothing", async () => {
    for (const [value, effective] of [[true, 1000], [false, 0]] as const) {
      await using c = make({ args: ["/suid-probe"], edit: (spec, bundle) => {
        Object.assign(spec.process!, { user, noNewPrivileges: value });
        bundle.privateCopy("probe");
        bundle.file("suid-probe", "");
      } });
      await runRuntime(["sh", "-c", `cp "$1/probe" "$1/suid-probe" && chmod 4755 "$1/suid-probe"`, "sh", c.rootfs]);
      expect((await c.probe()).uid[1]).toBe(effective);
    }
  });
});

describeRuntime("process: what a fresh process must not inherit", ({ test, make }) => {
  test("signal mask and ignored signals are reset, whatever the caller has", { cannot: { "runc 1": "passes the caller's on" } }, async () => {
    await using c = make({ args: ["/probe"] });
    const probe = await c.probe({ prefix: ["env", "--block-signal=USR1,TERM", "--ignore-signal=USR2,PIPE,HUP"] });
    expect(probe.signals).toEqual({ blocked: "0".repeat(16), ignored: "0".repeat(16), handled: "0".repeat(16) });
  });

  test("no signal is blocked, ignored or handled, in run, in create and in exec", async () => {
    const fresh = { blocked: "0".repeat(16), ignored: "0".repeat(16), handled: "0".repeat(16) };
    await using c = make({ args: ["/probe", "--hold"] });
    await c.mustBegin();
    expect(parseProbe(await c.outputMatching(/\n/)).signals).toEqual(fresh);
    expect(parseProbe(await c.mustExec(["/probe"])).signals).toEqual(fresh);
  });

  test("process attributes are those of a fresh process", async () => {
    await using c = make({ args: ["/probe"] });
    expect(await c.probe()).toMatchObject({ pid: 1, ppid: 0, pgid: 1, sid: 1, pdeathsig: 0, subreaper: 0, keepCaps: 0, securebits: 0, dumpable: 1, thpDisable: 0, personality: 0 });
  });

  test("the session keyring is a new one, in the container and not shared with the caller", async () => {
    const host = parseProbe((await runRuntime([guestProgram("probe")])).stdout).keyring;
    await using c = make({ args: ["/probe"] });
    const { keyring } = await c.probe();
    expect(keyring.id).not.toBe(host.id);
    expect(keyring.description).toMatch(new RegExp(`^keyring;0;0;[0-9a-f]{8};_ses\\.${c.id}$`));
  });

  test("--no-new-keyring keeps the caller's session keyring", async () => {
    const host = parseProbe((await runRuntime([guestProgram("probe")])).stdout).keyring;
    await using c = make({ args: ["/probe"] });
    expect((await c.probe({ flags: ["--no-new-keyring"] })).keyring.id).toBe(host.id);
  });

  test("the container's process is not traced, has no seccomp filter and no label unless configured", async () => {
    await using c = make({ args: ["/probe"] });
    const { status } = await c.probe();
    expect(status).toMatch(/^TracerPid:\t0$/m);
    expect(status).toMatch(/^Seccomp:\t0$/m);
    expect(status).toMatch(/^Threads:\t1$/m);
  });
});
