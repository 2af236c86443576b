/** Kernel interfaces that have been the way out of containers before: each as asked for by the strongest guest that can be configured. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Container } from "../../support/container.ts";
import { removeWorkDir } from "../../support/paths.ts";
import { attempt, expectAnswers, expectGoneAfterDelete, hostile, hostState, IS_STRICT, sandboxOf } from "../support.ts";

/** Attempt (test/guest/hostile-try.c) to outcome. Numbers of calls: Linux arch/x86/entry/syscalls/syscall_64.tbl. */
const ATTEMPTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "io_uring, which no filter sees into": { "call 425 8 0": "ENOSYS", "call 426 0 1 1 0 0 0": "ENOSYS", "call 427 0 0 0 0": "ENOSYS" },
  "bpf": { "call 321 0 0 0": "EPERM", "call 321 5 0 128": "EPERM" },
  "keyrings, which no namespace bounds": { "call 248 0 0 0 0 -3": "ENOSYS", "call 249 0 0 0 0": "ENOSYS", "call 250 0 -3 0": "ENOSYS" },
  "userfaultfd": { "call 323 0": "ENOSYS" },
  "perf": { "call 298 0 0 -1 -1 0": "EPERM" },
  "packet and raw sockets": { "socket 17 3 0x300": "EAFNOSUPPORT", "socket 2 3 1": "EPERM", "socket 2 3 255": "EPERM", "socket 10 3 58": "EPERM" },
  "netlink beyond routes": Object.fromEntries([2, 4, 6, 9, 11, 12, 15, 16].map((protocol) => [`socket 16 3 ${protocol}`, "EPROTONOSUPPORT"])),
  "vsock, AF_ALG and other families": Object.fromEntries(
    [40, 38, 3, 4, 5, 9, 15, 21, 26, 29, 30, 31, 35, 39, 41, 42, 43, 44, 45].map((family) => [`socket ${family} 3 0`, "EAFNOSUPPORT"]),
  ),
  "families and types above 32 bits": { "socket 0x100000028 1 0": "EAFNOSUPPORT", "socket 0x100000011 3 0": "EAFNOSUPPORT", "socket 2 0x100000003 1": "EPERM" },
  "namespaces by unshare": Object.fromEntries(["0x10000000", "0x20000", "0x40000000", "0x20000000", "0x4000000", "0x8000000", "0x2000000", "0x80"].map((flag) => [`call 272 ${flag}`, "EPERM"])),
  "namespaces by clone": Object.fromEntries(["0x10000000", "0x10020000", "0x20000", "0x40000000", "0x20000000"].map((flag) => [`clone ${flag}`, "EPERM"])),
  "a sibling of the container's first process": { "clone 0x8000": "EINVAL" },
  "clone3, whose flags no filter sees": { "clone3 0x10000000": "ENOSYS", "clone3 0": "ENOSYS" },
  // The sentry, which opens the name, does not follow it out of the guest's own file systems.
  "entering namespaces": Object.fromEntries(["self/ns/mnt", "self/ns/user", "1/ns/pid"].map((name) => [`setns /proc/${name}`, IS_STRICT ? "ELOOP" : "EPERM"])),
  "mounting": {
    "mount /tmp tmpfs": "EPERM", "mount /tmp proc": "EPERM", "mount /tmp sysfs": "EPERM", "mount /tmp cgroup2": "EPERM", "bind / /tmp": "EPERM", "umount /proc": "EPERM",
    "umount /proc/sys": "EPERM", "call 155 0 0": "EPERM", "call 428 -100 0 1": "ENOSYS", "call 429 0 0 0 0 0": "ENOSYS", "call 430 0 0": "ENOSYS", "call 442 0 0 0 0 0": "ENOSYS",
  },
  "FUSE inside": { "open /dev/fuse +": "ENOENT", "mknod /tmp/fuse 020666 2789": "EPERM", "mount /tmp fuse": "EPERM" },
  "device nodes": { "mknod /tmp/mem 020666 257": "EPERM", "mknod /tmp/disk 060666 2048": "EPERM", "open /dev/mem +": "ENOENT", "open /dev/kmsg +": "ENOENT", "open /dev/vda +": "ENOENT", "open /dev/kvm +": "ENOENT" },
  "chroot": { "chroot-escape": "own root" },
  "typing into a terminal": { "terminal 0x5412": "EPERM", "terminal 0x541c": "EPERM", "terminal 0x100005412": "EPERM" },
  "files by handle": { "handle /etc/passwd": "ENOSYS" },
  "a program in memory is a program like others": { "memfd-exec": "0,0" },
  "machine-wide calls": {
    "call 169 0xfee1dead 672274793 0x01234567 0": "EPERM", "call 175 0 0 0": "EPERM", "call 313 -1 0 0": "EPERM", "call 176 0 0": "EPERM", "call 246 0 0 0 0": "EPERM",
    "call 167 0 0": "EPERM", "call 163 0": "EPERM", "call 103 3 0 0": "EPERM", "call 172 3": "EPERM", "call 173 0 1 1": "EPERM", "call 227 0 0": "EPERM",
  },
};

let c: Container;
beforeAll(async () => {
  c = hostile();
  await c.mustBegin();
});
afterAll(async () => {
  await c[Symbol.asyncDispose]();
  removeWorkDir();
});

test.each(Object.entries(ATTEMPTS))("%s", async (_name, expected) => {
  expect(await attempt(c, Object.keys(expected))).toEqual(expected);
});

test("after all of them the sandbox goes on, and the host is as it was", async () => {
  const before = hostState();
  const record = sandboxOf(c);
  await attempt(c, Object.values(ATTEMPTS).flatMap((attempts) => Object.keys(attempts)));
  await expectAnswers(c, record);
  expect(hostState()).toEqual(before);
  await expectGoneAfterDelete(c);
});
