/**
 * linux.intelRdt. No machine of ours has the hardware, so the groups are those of test/support/resctrl-server.ts, which a private mount
 * namespace shows to the runtime as the host's resctrl. What this cannot show: that a real one takes the same writes, that a process gets the
 * cache that its group has, that the tasks a process makes are in its group.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { join } from "node:path";
import { expect } from "vitest";
import type { Container } from "../../support/container.ts";
import { describeRuntime } from "../../support/contract.ts";
import { nodePath } from "../../support/forked.ts";
import { projectRoot } from "../../support/paths.ts";
import { runRuntime } from "../../support/runtime.ts";
import type { Spec } from "../../support/spec.ts";
import { until } from "../../support/until.ts";

/** A resctrl file system in a bundle, and the prefix under which the runtime finds it. */
class Resctrl implements AsyncDisposable {
  readonly dir: string;
  readonly prefix: readonly string[];
  readonly #server;

  private constructor(c: Container) {
    this.dir = c.bundle.path("resctrl");
    mkdirSync(this.dir);
    this.#server = spawn(nodePath, [join(projectRoot, "test/support/resctrl-server.ts"), this.dir], { stdio: "inherit" });
    const line = `999 1 0:99 / ${this.dir} rw,relatime - resctrl resctrl rw`;
    this.prefix = ["unshare", "-m", "sh", "-c", `(cat /proc/self/mountinfo; echo "${line}") > "$0" && mount --bind "$0" /proc/$$/mountinfo && exec "$@"`, c.bundle.path("mountinfo")];
  }

  static async mount(c: Container): Promise<Resctrl> {
    const made = new Resctrl(c);
    await until("the file system", () => existsSync(join(made.dir, "schemata")));
    return made;
  }

  groups(): string[] {
    return readdirSync(this.dir).filter((name) => !["info", "mon_groups", "schemata", "tasks"].includes(name));
  }

  read(...path: string[]): string {
    return readFileSync(join(this.dir, ...path), "utf8");
  }

  /** Without the spaces that align the columns. */
  schemata(group: string): string[] {
    return this.read(group, "schemata").replaceAll(/[ ]/g, "").trim().split("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await runRuntime(["umount", "--lazy", this.dir]);
    // A namespace that somebody still lives in would keep it.
    if (this.#server.kill()) await once(this.#server, "exit");
  }
}

const withRdt = (intelRdt: Record<string, unknown>) => (spec: Spec) => {
  spec.linux.intelRdt = intelRdt;
};
const newer = { cannot: { "runc 1": "asks the processor, or does not know the field" } };
const args = ["sleep", "100"];

describeRuntime("intelRdt: this host has none", ({ test, make }) => {
  test("a configuration that asks for it is refused in one line and leaves nothing", newer, async () => {
    await using c = make({ edit: withRdt({ closID: "gold" }) });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toBe("tssandbox: linux.intelRdt: this host has no resctrl file system mounted\n");
    await c.expectNothingLeft();
  });

  test("update --l3-cache-schema and --mem-bw-schema likewise; the container goes on", newer, async () => {
    await using c = make({ args });
    await c.mustBegin();
    for (const flags of [["--l3-cache-schema", "L3:0=f"], ["--mem-bw-schema=MB:0=50"]]) {
      const result = await c.command("update", [], { flags });
      expect(result).toMatchObject({ code: 1, stderr: "tssandbox: linux.intelRdt: this host has no resctrl file system mounted\n" });
    }
    expect(await c.status()).toBe("running");
  });
});

describeRuntime("intelRdt: groups", ({ test, make }) => {
  test("without closID: a group named after the container, its schemata, its process in it; removed at delete", newer, async () => {
    await using c = make({ args, edit: withRdt({ l3CacheSchema: "L3:0=7f0;1=1f", memBwSchema: "MB:0=15;1=70", schemata: ["L3:1=f"] }) });
    await using host = await Resctrl.mount(c);
    await c.mustCreate({ prefix: host.prefix });
    expect(host.groups()).toEqual([c.id]);
    expect(host.schemata(c.id)).toEqual(["MB:0=20;1=70", "L3:0=7f0;1=00f"]);
    expect(host.read(c.id, "tasks")).toBe(`${c.pid}\n`);
    await c.delete();
    expect(host.groups()).toEqual([]);
  });

  test("the group is there, with the process in it, before a createRuntime hook runs", newer, async () => {
    await using c = make({ args, edit: (spec, bundle) => {
      withRdt({})(spec);
      spec.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", `cp ${bundle.path("resctrl", bundle.id, "tasks")} ${bundle.path("seen")}`] }] };
    } });
    await using host = await Resctrl.mount(c);
    await c.mustCreate({ prefix: host.prefix });
    expect(readFileSync(c.bundle.path("seen"), "utf8")).toBe(`${c.pid}\n`);
  });

  test("a class is made by the first container, shared with the next, and stays", newer, async () => {
    const rdt = { closID: "gold", memBwSchema: "MB:0=15" };
    await using a = make({ args, edit: withRdt(rdt) });
    await using host = await Resctrl.mount(a);
    await a.mustCreate({ prefix: host.prefix });
    await using b = make({ args, edit: withRdt(rdt) });
    await b.mustCreate({ prefix: host.prefix });
    expect(host.read("gold", "tasks").trim().split("\n").map(Number).sort()).toEqual([a.pid, b.pid].sort());
    await a.delete();
    await b.delete();
    expect(host.groups()).toEqual(["gold"]);
  });

  test("a class that is there with other values, or is not there, is refused and leaves nothing", newer, async () => {
    for (const [rdt, words] of [[{ closID: "gold", memBwSchema: "MB:0=30" }, /intelRdt\.memBwSchema: group "gold" exists with other values/], [{ closID: "silver" }, /intelRdt\.closID: there is no group "silver"/]] as const) {
      await using c = make({ edit: withRdt(rdt) });
      await using host = await Resctrl.mount(c);
      mkdirSync(join(host.dir, "gold"));
      const result = await c.create({ prefix: host.prefix });
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(words);
      expect(host.groups()).toEqual(["gold"]);
    }
  });

  test("closID /: the root group", newer, async () => {
    await using c = make({ args, edit: withRdt({ closID: "/" }) });
    await using host = await Resctrl.mount(c);
    await c.mustCreate({ prefix: host.prefix });
    expect([host.groups(), host.read("tasks")]).toEqual([[], `${c.pid}\n`]);
    await c.delete();
  });

  test("enableMonitoring: a monitoring group of the container's name in its class, removed with it", newer, async () => {
    await using c = make({ args, edit: withRdt({ closID: "gold", enableMonitoring: true, schemata: ["L3:0=f"] }) });
    await using host = await Resctrl.mount(c);
    await c.mustCreate({ prefix: host.prefix });
    for (const group of ["gold", `gold/mon_groups/${c.id}`]) expect(host.read(group, "tasks"), group).toBe(`${c.pid}\n`);
    await c.delete();
    expect(readdirSync(join(host.dir, "gold/mon_groups"))).toEqual([]);
    expect(host.groups()).toEqual(["gold"]);
  });

  test("exec enters the container's groups", newer, async () => {
    await using c = make({ args, edit: withRdt({ enableMonitoring: true }) });
    await using host = await Resctrl.mount(c);
    await c.mustBegin({ prefix: host.prefix });
    await c.exec(["sleep", "99"], { flags: ["--detach", "--pid-file", c.bundle.path("exec.pid")] });
    const tasks = `${c.pid}\n${readFileSync(c.bundle.path("exec.pid"), "utf8")}\n`;
    for (const group of [c.id, `${c.id}/mon_groups/${c.id}`]) expect(host.read(group, "tasks"), group).toBe(tasks);
    await c.delete("--force");
    expect(host.groups()).toEqual([]);
  });
});

describeRuntime("intelRdt: refusals of the file system", ({ test, make }) => {
  const refusals = [
    ["a mask with holes", { l3CacheSchema: "L3:0=f5" }, 0, /resctrl: write .*schemata: .*\(EINVAL\); The mask f5 has non-consecutive 1-bits/],
    ["a resource that it does not have", { schemata: ["L9:0=f"] }, 0, /\(EINVAL\); Unknown or unsupported resource name 'L9'/],
    ["no more groups", {}, 3, /resctrl: mkdir .*\(ENOSPC\); Out of CLOSIDs/],
  ] as const;
  for (const [what, rdt, before, words] of refusals) {
    test(`${what}: create fails with its reason, and leaves no group`, newer, async () => {
      await using c = make({ edit: withRdt(rdt) });
      await using host = await Resctrl.mount(c);
      const others = ["a", "b", "c"].slice(0, before);
      for (const name of others) mkdirSync(join(host.dir, name));
      const result = await c.create({ prefix: host.prefix });
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(words);
      expect(host.groups()).toEqual(others);
    });
  }

  test("a create that is killed once the group is there: delete --force removes it", newer, async () => {
    await using c = make({ args, edit: (spec) => {
      withRdt({})(spec);
      spec.hooks = { createRuntime: [{ path: "/bin/sleep", args: ["sleep", "3"] }] };
    } });
    await using host = await Resctrl.mount(c);
    const call = c.call("create", [c.id], { prefix: host.prefix, flags: ["--bundle", c.bundle.dir] });
    await until("the group", () => host.groups().length === 1 && host.read(c.id, "tasks") !== "");
    process.kill(await call.pid, "SIGKILL");
    await call.ended;
    expect(await c.delete("--force")).toMatchObject({ code: 0, stderr: "" });
    expect(host.groups()).toEqual([]);
  });
});

describeRuntime("intelRdt: update", ({ test, make }) => {
  test("--l3-cache-schema and --mem-bw-schema change the group's", newer, async () => {
    await using c = make({ args, edit: withRdt({}) });
    await using host = await Resctrl.mount(c);
    await c.mustBegin({ prefix: host.prefix });
    await c.mustCommand("update", [], { flags: ["--l3-cache-schema", "L3:0=3", "--mem-bw-schema", "MB:1=40"] });
    expect(host.schemata(c.id)).toEqual(["MB:0=100;1=40", "L3:0=003;1=7ff"]);
  });

  test("a container without a group gets one, all its tasks in it; delete removes it", newer, async () => {
    await using c = make({ args: ["sh", "-c", "sleep 100 & sleep 100"] });
    await using host = await Resctrl.mount(c);
    await c.mustBegin();
    const pids = () => JSON.parse(readFileSync(c.bundle.path("pids"), "utf8")) as number[];
    await until("two processes", async () => {
      writeFileSync(c.bundle.path("pids"), await c.mustCommand("ps", [], { flags: ["-f", "json"] }));
      return pids().length === 2;
    });
    await c.mustCommand("update", [], { prefix: host.prefix, flags: ["--l3-cache-schema", "L3:0=3"] });
    expect(host.schemata(c.id)).toContain("L3:0=003;1=7ff");
    expect(host.read(c.id, "tasks").trim().split("\n").map(Number).sort()).toEqual(pids().sort());
    await c.delete("--force");
    expect(host.groups()).toEqual([]);
  });

  test("what is no schema is refused, and the group stays as it was", newer, async () => {
    await using c = make({ args, edit: withRdt({}) });
    await using host = await Resctrl.mount(c);
    await c.mustBegin({ prefix: host.prefix });
    for (const [flags, words] of [[["--mem-bw-schema", "L3:0=f"], /--mem-bw-schema/], [["--l3-cache-schema", "L3:0=f\nMB:0=10"], /--l3-cache-schema/], [["--l3-cache-schema", "L3:9=f"], /EINVAL/]] as const) {
      const result = await c.command("update", [], { flags });
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(words);
    }
    expect(host.schemata(c.id)).toEqual(["MB:0=100;1=100", "L3:0=7ff;1=7ff"]);
  });
});
