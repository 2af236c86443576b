import { describe, expect, test } from "vitest";
import { hostAnswers, LEAKS, parseAnswers } from "./leaks.ts";

const answers = (values: Record<string, string>) => (name: string) => values[name];
const HOST = {
  "release": "6.18.2-cloud", "build": "#1 SMP", "/proc/cmdline": "root=/dev/vda1", "vdso": "6.18", "host name": "builder",
  "/proc/version": "Linux version 6.18.2-cloud", "/proc/uptime": "90000.12 1", "sysinfo uptime": "90000", "monotonic": "90000", "boottime": "90000", "affinity": "8", "sysinfo memory": String(64 * 2 ** 30),
  "/proc/meminfo": `MemTotal: ${64 * 2 ** 20} kB`, "/proc/cpuinfo": `${"processor : 1\nmodel name : Fast\n".repeat(8)}`, "/proc/stat": "cpu 5000000 1 2\nbtime 1700000000\n", "/proc/loadavg": "0.5 0.4 0.3 2/800 9000",
  "/proc/self/mountinfo": "1 2 254:1 / / rw - ext4 /dev/vda1 rw\n", "/sys/class/net": "lo eth0", "/sys/block": "vda", "/proc/sys/kernel/random/boot_id": "c0ffee", "kernel log": "a line of the kernel's log that is long enough",
};
const GUEST = {
  "release": "4.4.0", "build": "#1", "/proc/cmdline": "", "vdso": "", "host name": "tssandbox", "/proc/version": "Linux version 4.4.0", "/proc/uptime": "2.0 1", "sysinfo uptime": "2", "monotonic": "3", "boottime": "3",
  "affinity": "1", "sysinfo memory": String(2 ** 28), "/proc/meminfo": "MemTotal: 262144 kB", "/proc/cpuinfo": "processor : 0\nmodel name : Other\n", "/proc/stat": "cpu 1 1 2\nbtime 1790000000\n", "/proc/loadavg": "0.00 0.00 0.00 1/2 3",
  "/proc/self/mountinfo": "1 2 0:5 / / rw - 9p none rw\n", "/sys/class/net": "lo", "/sys/block": "", "/proc/sys/kernel/random/boot_id": "bad", "/proc": "1 2 self", "/proc/self/cgroup": "0::/\n", "kernel log": "Starting gVisor...", "/proc/kallsyms": "0000000000000000 T _text",
};
const of = (name: string, guest: Record<string, string>, host: Record<string, string> = HOST) => LEAKS.find((leak) => leak.name === name)?.compare(answers(guest), answers(host), "/dev/shm/x/bundle-1").verdict;

/** Of these the host must have something, and this one has nothing. */
const UNKNOWN = ["machine id", "energy of the processor"];

test("a guest that is told nothing of the host's", () => {
  expect(LEAKS.filter(({ name }) => !UNKNOWN.includes(name)).filter(({ name }) => of(name, GUEST) !== "hidden").map(({ name }) => name)).toEqual([]);
  expect(UNKNOWN.map((name) => of(name, GUEST))).toEqual(["unknown", "unknown"]);
});

test.each<[string, Record<string, string>]>([
  ["kernel version", { release: HOST.release }],
  ["kernel version", { "/proc/version": HOST["/proc/version"] }],
  ["kernel version in the vDSO", { vdso: "6.18" }],
  ["kernel build and command line", { "/proc/cmdline": HOST["/proc/cmdline"] }],
  ["uptime", { boottime: "90003" }],
  ["boot time", { "/proc/stat": "btime 1700000001" }],
  ["boot id", { "/proc/sys/kernel/random/boot_id": "c0ffee\n" }],
  ["number of processors", { affinity: "8" }],
  ["model of the processor", { "/proc/cpuinfo": "model name : Fast\n" }],
  ["memory of the machine", { "sysinfo memory": HOST["sysinfo memory"] }],
  ["paths and disks of the host", { "/proc/self/mountinfo": "1 2 0:5 /x/bundle-1/rootfs / rw - tmpfs t rw\n" }],
  ["paths and disks of the host", { "/proc/self/mountinfo": "1 2 254:1 / /etc rw - ext4 /dev/vda1 rw\n" }],
  ["processes", { "/proc": "1 2 3 4 5" }],
  ["network interfaces", { "/proc/net/dev": "  lo: 1\n  eth0: 1\n" }],
  ["block devices", { "/sys/block": "loop0 vda" }],
  ["host name", { "host name": "builder" }],
  ["path of the cgroup", { "/proc/self/cgroup": "5:pids:/docker/abc\n" }],
  ["load of the machine", { "/proc/loadavg": "0.5 0.4 0.3 2/810 9000" }],
  ["activity of the host", { "/proc/stat": "cpu 5000100 1 2\nbtime 1700000000\n" }],
  ["addresses of the kernel", { "/proc/kallsyms": "ffffffff81000000 T _text" }],
  ["kernel log", { "kernel log": HOST["kernel log"] }],
])("%s is found", (name, told) => {
  expect(of(name, { ...GUEST, ...told })).toBe("leaks");
});

describe("what cannot be told is unknown", () => {
  test("uptime of a host that has just started", () => expect(of("uptime", GUEST, { ...HOST, "/proc/uptime": "20 1" })).toBe("unknown"));
  test("interfaces of a host that has none", () => expect(of("network interfaces", GUEST, { ...HOST, "/sys/class/net": "lo" })).toBe("unknown"));
});

test("answers come with what would break a line written as bytes, errors as no answer", () => {
  const parsed = parseAnswers("/proc/stat\ta\\x0ab\\x09c\nkernel log\t!EPERM\n");
  expect([parsed("/proc/stat"), parsed("kernel log"), parsed("absent")]).toEqual(["a\nb\tc", undefined, undefined]);
});

test("the host answers for itself", () => {
  const host = hostAnswers();
  expect([host("release"), host("/proc/version")?.includes(host("release") ?? "?"), host("/no/such/file")]).toEqual([expect.stringMatching(/^\d/), true, undefined]);
});
