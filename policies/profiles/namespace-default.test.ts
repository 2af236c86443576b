import { compile, importOci, isSyscallName, simulator } from "seccomp-bpf-ts";
import type { Call } from "seccomp-bpf-ts";
import { expect, test } from "vitest";
import { defaultProfile, profileRows } from "./namespace-default.ts";
import type { ProfileArch } from "./namespace-default.ts";

// What docker and podman give a container.
const dockerCapabilities = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETUID", "CAP_SYS_CHROOT"];

function verdictWith(capabilities: readonly string[], arch: ProfileArch = "x86_64"): (call: Call) => string {
  const { policy, unknown } = importOci(defaultProfile(capabilities, arch), { nativeArch: arch });
  expect(unknown).toEqual([]);
  const run = simulator(compile(policy), arch === "s390x" ? "big" : "little");
  return (call) => {
    const { action, data } = run(call);
    return action === "errno" ? `errno ${data}` : action;
  };
}

const verdict = verdictWith(dockerCapabilities);
const x86_64 = (nr: number, ...args: (number | bigint)[]): string => verdict({ arch: "x86_64", nr, args });
const x86 = (nr: number, ...args: (number | bigint)[]): string => verdict({ arch: "x86", nr, args });

test.each([
  ["read", 0, [], "allow"],
  ["mount", 165, [], "errno 1"],
  ["keyctl", 250, [], "errno 1"],
  ["io_uring_setup", 425, [], "errno 1"],
  ["kexec_load", 246, [], "errno 1"],
  ["userfaultfd", 323, [], "errno 1"],
  ["chroot, with its capability", 161, [], "allow"],
  ["unshare", 272, [], "errno 1"],
  ["setns", 308, [], "errno 1"],
  ["fork by clone", 56, [0x0120_0011], "allow"],
  ["a thread by clone", 56, [0x003d_0f00], "allow"],
  ["clone of a user namespace", 56, [0x1000_0011], "errno 1"],
  ["clone of a mount namespace", 56, [0x0002_0000], "errno 1"],
  ["clone3", 435, [], "errno 38"],
  ["a call newer than all that are listed", 600, [], "errno 38"],
  ["personality query", 135, [0xffff_ffff], "allow"],
  ["ADDR_NO_RANDOMIZE", 135, [0x0004_0000], "errno 1"],
  ["AF_UNIX", 41, [1], "allow"],
  ["AF_INET6", 41, [10], "allow"],
  ["AF_NETLINK", 41, [16], "allow"],
  ["AF_RDS, between the refused two", 41, [39], "allow"],
  ["AF_QIPCRTR", 41, [42], "allow"],
  ["AF_ALG", 41, [38], "errno 1"],
  ["AF_VSOCK", 41, [40], "errno 1"],
  ["AF_VSOCK with a bit that the kernel ignores", 41, [0x1_0000_0028n], "errno 1"],
  ["AF_INET with such a bit", 41, [0x1_0000_0002n], "allow"],
])("%s", (_, nr, args, expected) => {
  expect(x86_64(nr, ...args)).toBe(expected);
});

test("exactly AF_ALG and AF_VSOCK are refused among the families that exist", () => {
  const refused = Array.from({ length: 64 }, (_, family) => family).filter((family) => x86_64(41, family) !== "allow");
  expect(refused).toEqual([38, 40]);
});

test("32-bit calls make no socket by socketcall, but use those they have", () => {
  expect(x86(359, 40)).toBe("errno 1");
  expect(x86(359, 2)).toBe("allow");
  expect(x86(102, 1)).toBe("errno 38");
  expect(x86(102, 0xffff_ffff_0000_0001n)).toBe("errno 38");
  for (let call = 2; call <= 20; call++) expect(x86(102, call)).toBe("allow");
});

test("x32 is no way around", () => {
  expect(x86_64(0x4000_0000)).toBe("kill-thread");
});

const names = (capabilities: readonly string[]): string[] => profileRows(capabilities).flatMap((row) => row.names.split(" "));

test("each capability opens its calls and no others", () => {
  const base = new Set(names([]));
  const added = (capability: string): string[] => names([capability]).filter((name) => !base.has(name));
  expect(added("CAP_CHOWN")).toEqual([]);
  expect(added("CAP_SYS_CHROOT")).toEqual(["chroot"]);
  expect(added("CAP_SYS_MODULE")).toEqual(["delete_module", "finit_module", "init_module"]);
  expect(added("CAP_SYSLOG")).toEqual(["syslog"]);
  expect(added("CAP_SYS_ADMIN")).toContain("mount");
});

test("with CAP_SYS_ADMIN clone and clone3 are free", () => {
  const admin = verdictWith(["CAP_SYS_ADMIN"]);
  expect(admin({ arch: "x86_64", nr: 56, args: [0x1000_0011] })).toBe("allow");
  expect(admin({ arch: "x86_64", nr: 435 })).toBe("allow");
});

test("s390 has clone's flags in the second argument", () => {
  const s390x = verdictWith([], "s390x");
  expect(s390x({ arch: "s390x", nr: 120, args: [0x1000_0000, 0x11] })).toBe("allow");
  expect(s390x({ arch: "s390x", nr: 120, args: [0, 0x1000_0011] })).toBe("errno 1");
});

test("every row has a reason and names only system calls, none twice for everybody", () => {
  const rows = profileRows([]);
  const free = rows.filter(({ when, errno }) => when === undefined && errno === undefined).flatMap((row) => row.names.split(" "));
  expect(new Set(free).size).toBe(free.length);
  for (const { reason, names } of rows) {
    expect(reason).not.toBe("");
    expect(names.split(" ").filter((name) => !isSyscallName(name))).toEqual([]);
  }
});
