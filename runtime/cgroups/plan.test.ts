import { describe, expect, it } from "vitest";
import { hostFrom, type CgroupHost } from "./layout.ts";
import { checkedPath, planCgroup, type CgroupPlan } from "./plan.ts";
import { expandSlice, parseUnit } from "./systemd/slices.ts";

const v1Mounts = `
22 1 8:1 / / rw - ext4 /dev/root rw
31 23 0:28 / /nowhere/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /nowhere/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /nowhere/cgroup/devices rw,relatime - cgroup cgroup rw,devices
34 31 0:37 / /nowhere/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/systemd/systemd-cgroups-agent,name=systemd
35 31 0:30 / /elsewhere/devices rw,relatime - cgroup cgroup rw,devices`;
const v2Mount = "\n41 31 0:38 / /nowhere/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
const own = "9:name=systemd:/user.slice\n5:devices:/user.slice\n1:cpu,cpuacct:/me\n0::/user.slice/session-1.scope\n";

const hybrid = hostFrom(v1Mounts + v2Mount, own, () => ["hugetlb"]);
const v2Only = hostFrom("41 31 0:38 / /nowhere/cgroup rw - cgroup2 cgroup2 rw", own, () => ["memory", "pids"]);
const plan = (host: CgroupHost, cgroupsPath: string | undefined, more: { systemd?: boolean; rootless?: boolean } = {}): CgroupPlan =>
  planCgroup({ cgroupsPath, id: "box", systemd: false, rootless: false, host, ...more });

describe("the host's layout", () => {
  it("is told from the mounts", () => {
    expect([hybrid.layout, v2Only.layout, hostFrom(v1Mounts, own, () => []).layout]).toEqual(["hybrid", "v2", "v1"]);
    expect(hybrid.v1.map(({ controllers, mountPoint, own: path }) => [controllers.join(), mountPoint, path])).toEqual([
      ["cpu,cpuacct", "/nowhere/cgroup/cpu,cpuacct", "/me"],
      ["devices", "/nowhere/cgroup/devices", "/user.slice"],
      ["name=systemd", "/nowhere/cgroup/systemd", "/user.slice"],
    ]);
  });

  it("reads octal escapes of mount points", () => {
    const host = hostFrom("41 31 0:38 / /no\\040where rw - cgroup2 cgroup2 rw", own, () => []);
    expect(host.v2?.mountPoint).toBe("/no where");
  });
});

describe("the place of a cgroup", () => {
  it("is below every mount point for an absolute path", () => {
    const { paths, parents, layout } = plan(hybrid, "/pods/./one//");
    expect(layout).toBe("hybrid");
    expect(paths).toEqual({
      cpu: "/nowhere/cgroup/cpu,cpuacct/pods/one", cpuacct: "/nowhere/cgroup/cpu,cpuacct/pods/one", devices: "/nowhere/cgroup/devices/pods/one",
      "name=systemd": "/nowhere/cgroup/systemd/pods/one", "": "/nowhere/cgroup/unified/pods/one",
    });
    expect(parents).toEqual(["cpu,cpuacct", "devices", "systemd", "unified"].map((name) => `/nowhere/cgroup/${name}/pods`));
  });

  it("is below the runtime's own cgroup for a relative or missing one, on v2 beside it", () => {
    expect(plan(hybrid, "a/b").paths["cpu"]).toBe("/nowhere/cgroup/cpu,cpuacct/me/a/b");
    expect(plan(hybrid, undefined).paths["devices"]).toBe("/nowhere/cgroup/devices/user.slice/box");
    expect(plan(v2Only, undefined).paths).toEqual({ "": "/nowhere/cgroup/user.slice/box" });
    expect(plan(v2Only, "/x").paths).toEqual({ "": "/nowhere/cgroup/x" });
  });

  it("counts from what a container sees mounted", () => {
    const inside = hostFrom("41 31 0:38 /pod /nowhere/cgroup rw - cgroup2 cgroup2 rw", "0::/pod/app/shell\n", () => []);
    expect(plan(inside, "sub").paths[""]).toBe("/nowhere/cgroup/app/sub");
    const outside = hostFrom("41 31 0:38 / /nowhere/cgroup rw - cgroup2 cgroup2 rw", "0::/../other\n", () => []);
    expect(plan(outside, "sub").paths[""]).toBe("/nowhere/cgroup/sub");
  });

  it("survives JSON", () => {
    const made = plan(hybrid, "/pods/one");
    expect(JSON.parse(JSON.stringify(made))).toEqual(made);
  });

  it("is refused where it is not below the root", () => {
    for (const path of ["/a/../../b", "..", "a/..", "/..", "/", "//", "."]) expect(() => checkedPath(path, "box"), path).toThrow(/^linux.cgroupsPath: /);
    for (const path of ["/a\nb", "/a\u0000", "/\u007f"]) expect(() => checkedPath(path, "box")).toThrow("control character");
    expect(checkedPath("/a..b/...c", "box")).toBe("/a..b/...c");
  });

  it("needs a devices controller, unless rootless", () => {
    const bare = hostFrom("", own, () => []);
    expect(() => plan(bare, "/x")).toThrow("neither a devices controller");
    expect(plan(bare, undefined, { rootless: true })).toMatchObject({ paths: {}, optional: true });
  });
});

describe("systemd units", () => {
  it("come from slice:prefix:name", () => {
    expect(parseUnit("machine.slice:libpod:abc", "id", false)).toEqual({ name: "libpod-abc.scope", slice: "machine.slice", bus: "system", properties: [] });
    expect(parseUnit("", "id", false)).toEqual({ name: "tssandbox-id.scope", slice: "system.slice", bus: "system", properties: [] });
    expect(parseUnit("::abc", "id", true)).toEqual({ name: "-abc.scope", slice: "user.slice", bus: "user", properties: [] });
    expect(parseUnit("-:p:n", "id", false).slice).toBe("-.slice");
    expect(() => parseUnit("a.slice::a-b.slice", "id", false)).toThrow("is a slice, a container needs a scope");
    for (const bad of ["/x", "a:b", "a.slice:b:c:d", "a.slice:b:c/d", "a/b.slice:p:n", "a.slice:p:n\n"]) expect(() => parseUnit(bad, "id", false), bad).toThrow(/^linux.cgroupsPath: /);
  });

  it("live in slices within slices", () => {
    expect(expandSlice("-.slice")).toBe("/");
    expect(expandSlice("a-b-c.slice")).toBe("/a.slice/a-b.slice/a-b-c.slice");
    for (const bad of ["a", ".slice", "-a.slice", "a--b.slice", "a-.slice", "a/b.slice"]) expect(() => expandSlice(bad), bad).toThrow(/slice/);
  });

  it("are placed by systemd's rules", () => {
    expect(plan(hybrid, "a-b.slice:p:n", { systemd: true }).paths["devices"]).toBe("/nowhere/cgroup/devices/a.slice/a-b.slice/p-n.scope");
    const user = { cgroupsPath: ":p:n", id: "box", systemd: true, rootless: true, host: v2Only, userManager: () => "/user.slice/user-1.slice/user@1.service" };
    expect(planCgroup(user).paths[""]).toBe("/nowhere/cgroup/user.slice/user-1.slice/user@1.service/user.slice/p-n.scope");
    expect(() => plan(hybrid, ":p:n", { systemd: true, rootless: true })).toThrow("needs cgroup v2");
  });
});
