// What the host's configuration decides, as a command line or an engine meets it.
import { lstatSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import type { CommandOptions, Container } from "../../support/container.ts";
import { until } from "../../support/until.ts";
import { inspect } from "../sandbox/support.ts";
import { Call } from "../../support/runtime.ts";
import type { Spec } from "../../support/spec.ts";

const home = join(import.meta.dirname, "../../..");

const annotate = (annotations: Readonly<Record<string, string>>) => (spec: Spec) => void (spec.annotations = { ...spec.annotations, ...annotations });

/** Global options for a configuration of the container's own, and no mode from the tests' environment. */
function configured(c: Container, config: unknown, ...global: readonly string[]): CommandOptions {
  const file = c.bundle.path("host.json");
  writeFileSync(file, JSON.stringify(config));
  return { global: ["--config", file, ...global], env: { TSSANDBOX_MODE: undefined } };
}

describeRuntime("the host's configuration", ({ test, make }) => {
  test("says the mode where nobody else does", async () => {
    await using c = make({ args: ["uname", "-r"] });
    const host = readFileSync("/proc/sys/kernel/osrelease", "utf8");
    expect(await c.run(configured(c, { mode: "namespace" }))).toMatchObject({ code: 0, stdout: host, stderr: "" });
    expect((await c.run(configured(c, { mode: "namespace" }, "--mode", "sentry"))).stdout).toMatch(/-tssandbox\n$/);
  });

  test("has a floor, below which no flag, variable or handler's name reaches", async () => {
    await using c = make({ args: ["true"] });
    const floor = configured(c, { floor: "sentry" }, "--mode", "namespace");
    const refusal = "tssandbox: mode namespace is below the floor of this host's configuration, sentry\n";
    expect(await c.run(floor)).toMatchObject({ code: 1, stderr: refusal });
    expect(await c.run({ ...configured(c, { floor: "sentry" }), env: { TSSANDBOX_MODE: "namespace" } })).toMatchObject({ code: 1, stderr: refusal });
    expect(await c.run(configured(c, { floor: "sentry" }))).toMatchObject({ code: 0, stderr: "" });
    await c.expectNothingLeft();
  });

  test("that cannot be used stops every command, with the field's name", async () => {
    await using c = make({ args: ["true"] });
    expect(await c.run(configured(c, { flor: "sentry" }))).toMatchObject({ code: 1, stderr: `tssandbox: ${c.bundle.path("host.json")}: flor: there is no such setting (did you mean "floor"?)\n` });
    expect(await c.run({ global: ["--config", "/none.json"] })).toMatchObject({ code: 1, stderr: expect.stringContaining("/none.json") as string });
  });

  test("says the policy of sandboxes, and of nothing else", async () => {
    await using c = make({ args: ["sleep", "1020"] });
    await c.mustBegin(configured(c, { mode: "sentry", policy: "strict" }));
    expect((await inspect(c)).policy).toBe("strict");
    await using other = make({ args: ["true"] });
    expect(await other.run(configured(other, { mode: "namespace", policy: "strict" }))).toMatchObject({ code: 0, stderr: "" });
  });

  test("may forbid the host's sockets", async () => {
    await using c = make({ args: ["true"] });
    annotate({ "dev.tssandbox.host-sockets": "true" })(c.spec);
    c.bundle.write();
    expect(await c.run(configured(c, { hostSockets: "never", mode: "sentry" }))).toMatchObject({ code: 1, stderr: expect.stringContaining("host-sockets\"]: this host's configuration forbids it") as string });
    expect(await c.run(configured(c, { mode: "sentry" }))).toMatchObject({ code: 0 });
  });

  test("names a log of all containers: of the runtime's lines and the sandbox's, with the pod that they are about", async () => {
    await using c = make({ args: ["sleep", "1017"] });
    const file = c.bundle.path("host.log");
    annotate({ "io.kubernetes.cri.sandbox-name": "web-0", "io.kubernetes.cri.sandbox-namespace": "shop", "dev.tssandbox.mode": "namespace" })(c.spec);
    c.bundle.write();
    const options = configured(c, { mode: "sentry", log: { file, debug: true } });
    const about = { container: c.id, pod: "web-0", podNamespace: "shop" };
    expect(await c.create(options)).toMatchObject({ code: 0, stderr: expect.not.stringContaining("called with") as string });
    await c.mustStart();
    process.kill((await inspect(c)).gofers[0]!.pid, "SIGKILL");
    const read = () => readFileSync(file, "utf8");
    await until("the sentry's line", () => read().includes("has ended"));
    const all = read().trim().split("\n").map((line) => JSON.parse(line) as Record<string, string>);
    // Of level debug there are the command lines, before anybody knows what they are about.
    const lines = all.filter(({ level }) => level !== "debug");
    expect(all.find(({ level }) => level === "debug")?.["msg"]).toContain(`called with ["--root"`);
    expect(lines).toEqual([expect.objectContaining({ level: "warning", msg: expect.stringContaining("cannot lower the isolation") as string, ...about }), expect.objectContaining({ level: "error", msg: "sentry: the gofer of root, system has ended", ...about })]);
    expect(lstatSync(file).mode & 0o777).toBe(0o600);
  });

  test("does not fail a container for a log that cannot be written", async () => {
    await using c = make({ args: ["echo", "fine"] });
    expect(await c.run(configured(c, { mode: "sentry", log: { file: "/dev/full", debug: true } }))).toMatchObject({ code: 0, stdout: "fine\n" });
    expect(await c.run(configured(c, { mode: "sentry", log: { file: "/none/host.log" } }))).toMatchObject({ code: 0, stdout: "fine\n", stderr: "" });
  });
});

describeRuntime("a handler's name", ({ test, make }) => {
  test("decides the mode, where no flag does", async () => {
    await using c = make({ args: ["uname", "-r"] });
    const link = c.bundle.path("tssandbox-namespace");
    symlinkSync(join(home, "bin/tssandbox"), link);
    const run = async (...global: readonly string[]) => await new Call([link, "--root", c.stateRoot, ...global, "run", "--bundle", c.bundle.dir, c.id], { dir: c.bundle.path("io"), env: { TSSANDBOX_MODE: undefined } }).result();
    expect(await run()).toMatchObject({ code: 0, stdout: readFileSync("/proc/sys/kernel/osrelease", "utf8") });
    expect((await run("--mode", "sentry")).stdout).toMatch(/-tssandbox\n$/);
  });
});
