import { describe, expect, test } from "vitest";

import { features, type FeatureFacts } from "./features.ts";
import { validateId } from "./id.ts";
import { checkList, parseList } from "./numbers.ts";
import { Report } from "./report.ts";
import { suggest } from "./suggest.ts";
import { sysctlSegments } from "./sysctl.ts";
import { templateSpec } from "./template.ts";
import { parseConfig } from "./validate.ts";

describe("the template", () => {
  test.each([
    ["for root", {}, false],
    ["for root on cgroup v2", { cgroupNamespace: true }, false],
    ["for an ordinary user", { rootless: { uid: 1000, gid: 1000 } }, true],
  ])("%s validates without a warning", (_, options, rootless) => {
    const spec = templateSpec(options);
    const checked = parseConfig(JSON.stringify(spec), { rootless });
    expect(checked.warnings).toEqual([]);
    expect(checked.value).toEqual(spec);
  });

  test("for an ordinary user asks for nothing that needs root", () => {
    const { linux, mounts } = templateSpec({ rootless: { uid: 1000, gid: 1001 } });
    expect(linux?.namespaces?.map(({ type }) => type)).toEqual(["pid", "ipc", "uts", "mount", "user"]);
    expect(linux?.gidMappings).toEqual([{ containerID: 0, hostID: 1001, size: 1 }]);
    expect(linux).not.toHaveProperty("resources");
    expect(mounts?.find(({ destination }) => destination === "/sys")?.options).toContain("rbind");
    expect(mounts?.flatMap(({ options = [] }) => options)).not.toContain("gid=5");
  });
});

describe("container ids", () => {
  test.each(["a", "A-1_b+c.d", "...", "x".repeat(1024)])("%s is fine", (id) => expect(validateId(id)).toBeUndefined());

  test.each([
    ["", "must not be empty"],
    [".", "must not be . or .."],
    ["..", "must not be . or .."],
    ["a/b", "must consist of letters, digits and _ + - ."],
    ["a\n", "must consist of letters, digits and _ + - ."],
    ["é", "must consist of letters, digits and _ + - ."],
    ["x".repeat(1025), "must be at most 1024 characters, has 1025"],
  ])("%j is refused", (id, reason) => expect(() => validateId(id)).toThrow(`container id: ${reason}`));
});

describe("sysctl names", () => {
  test.each([
    ["net.ipv4.ip_forward", ["net", "ipv4", "ip_forward"]],
    ["net.ipv4.conf.eno2/100.rp_filter", ["net", "ipv4", "conf", "eno2.100", "rp_filter"]],
    ["net/ipv4/conf/eno2.100/rp_filter", ["net", "ipv4", "conf", "eno2.100", "rp_filter"]],
    ["net/../kernel", undefined],
    ["net.//.kernel", undefined],
    ["net..x", undefined],
    ["/net/x", undefined],
    ["net.a\0b", undefined],
    ["net", undefined],
  ])("%s", (name, segments) => expect(sysctlSegments(name)).toEqual(segments));
});

const check = (list: string) => checkList(list, "cpus", new Report("x", {}));

describe("lists of numbers", () => {
  test.each([
    ["0-3,7", [0, 1, 2, 3, 7]],
    [" 2 , 1-1,", [1, 2]],
    ["", []],
  ])("%j", (list, numbers) => {
    check(list);
    expect(parseList(list)).toEqual(numbers);
  });

  test.each(["a", "1-", "-1", "1-2-3", "1\n2", "3-2", "65536", "0-99999"])("%j is refused", (list) => expect(() => check(list)).toThrow("x: cpus:"));
});

test("suggestions are one edit away", () => {
  const names = ["resources", "sysctl"];
  for (const near of ["resource", "resourcess", "resourses", "resuorces", "Resources"]) expect(suggest(near, names), near).toBe("resources");
  for (const far of ["resurce", "res", "", "xesourcex"]) expect(suggest(far, names), far).toBeUndefined();
});

describe("features", () => {
  const facts: FeatureFacts = {
    version: "0.1.0",
    seccompArchs: ["SCMP_ARCH_X86_64"],
    seccompFlags: ["SECCOMP_FILTER_FLAG_LOG"],
    cgroup: { v1: true, v2: true, systemd: true, systemdUser: false, rdma: true },
    apparmor: true,
    selinux: true,
    intelRdt: false,
    netDevices: true,
    checkpoint: false,
  };

  test("says what validation accepts", () => {
    const { linux, hooks, ociVersionMin, ociVersionMax } = features(facts);
    const config = {
      ociVersion: ociVersionMax,
      root: { path: "r" },
      hooks: Object.fromEntries(hooks.map((hook) => [hook, [{ path: "/h" }]])),
      process: { cwd: "/", args: ["x"], capabilities: { bounding: linux.capabilities } },
      linux: {
        namespaces: linux.namespaces.map((type) => ({ type })),
        uidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
        gidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
        seccomp: { defaultAction: "SCMP_ACT_ALLOW", flags: linux.seccomp.knownFlags, architectures: linux.seccomp.archs },
      },
    };
    expect(parseConfig(JSON.stringify(config)).warnings).toEqual([]);
    expect(parseConfig(JSON.stringify({ ...config, ociVersion: ociVersionMin })).warnings).toEqual([]);
  });

  test("tells checkpoint's annotation only where checkpoint exists", () => {
    expect(features(facts).potentiallyUnsafeConfigAnnotations).toEqual(["org.systemd.property.", "tssandbox."]);
    expect(features({ ...facts, checkpoint: true }).potentiallyUnsafeConfigAnnotations).toContain("org.criu.config");
  });

  test("passes the facts on", () => {
    expect(features(facts)).toMatchObject({ linux: { cgroup: facts.cgroup, intelRdt: { enabled: false, schemata: false }, seccomp: { supportedFlags: ["SECCOMP_FILTER_FLAG_LOG"] } }, annotations: { "tssandbox.version": "0.1.0" } });
  });
});
