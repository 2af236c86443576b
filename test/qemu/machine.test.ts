// What the other tests of this lane rely on: the kernel, systemd, cgroup v2, and runtimes that use them.
import { afterAll, beforeAll, expect, test } from "vitest";

import { bootMachine, runInMachine } from "./machine.ts";
import type { Machine } from "./machine.ts";

let machine: Machine;

beforeAll(async () => {
  machine = await bootMachine();
});

afterAll(() => machine[Symbol.asyncDispose]());

/** Standard output of a script that must succeed. */
async function output(script: string): Promise<string> {
  const { status, stdout, stderr } = await machine.runScript(`set -e\n${script}`);
  expect(status, stderr).toBe(0);
  return stdout.trim();
}

test("runs a Debian kernel, with cgroup v2 alone", async () => {
  expect(await output("uname -r")).toMatch(/^6\.1\.0-\d+-cloud-amd64$/);
  expect(await output("stat -f -c %T /sys/fs/cgroup")).toBe("cgroup2fs");
  const controllers = (await output("cat /sys/fs/cgroup/cgroup.controllers")).split(" ");
  expect(controllers).toEqual(expect.arrayContaining(["cpuset", "cpu", "io", "memory", "hugetlb", "pids"]));
});

test("has systemd as PID 1, with no unit failed", async () => {
  expect(await output("cat /proc/1/comm")).toBe("systemd");
  expect(await output("systemctl is-system-running --wait")).toBe("running");
});

test("runs our Node", async () => {
  expect(await runInMachine(machine, ["node", "--version"])).toEqual({
    status: 0,
    stdout: `${process.version}\n`,
    stderr: "",
  });
});

const BUNDLE = `
rm -rf /run/bundle
mkdir -p /run/bundle/rootfs/bin /run/bundle/rootfs/proc /run/bundle/rootfs/dev
cp /bin/busybox /run/bundle/rootfs/bin/sleep
cd /run/bundle
`;
const CONFIG = {
  ociVersion: "1.0.2",
  process: { user: { uid: 0, gid: 0 }, args: ["/bin/sleep", "600"], cwd: "/", env: ["PATH=/bin"] },
  root: { path: "rootfs" },
  mounts: [
    { destination: "/proc", type: "proc", source: "proc" },
    { destination: "/dev", type: "tmpfs", source: "tmpfs" },
  ],
};
const NAMESPACES = ["pid", "mount", "ipc", "uts"].map((type) => ({ type }));
const LIMIT = 64 << 20;

test.for([
  ["runc", "/lane/box", "", "/lane/box"],
  ["crun", "/lane/box", "", "/lane/box"],
  ["runc", "system.slice:lane:box", "--systemd-cgroup", "/system.slice/lane-box.scope"],
  ["crun", "system.slice:lane:box", "--systemd-cgroup", "/system.slice/lane-box.scope"],
] as const)("%s limits memory in %s %s", async ([runtime, cgroupsPath, flag, path]) => {
  const linux = { namespaces: NAMESPACES, resources: { memory: { limit: LIMIT } }, cgroupsPath };
  const config = JSON.stringify({ ...CONFIG, linux });
  await output(`${BUNDLE}\ncat >config.json <<'END'\n${config}\nEND\n${runtime} ${flag} run -d --pid-file pid box >out 2>&1 || cat out >&2`);
  const seen = await output(`
    cgroup=$(cut -d: -f3 "/proc/$(cat /run/bundle/pid)/cgroup")
    echo "$cgroup" "$(cat "/sys/fs/cgroup$cgroup/memory.max")"
    ${runtime} delete -f box`);
  // crun puts its container into a cgroup of its own below the scope.
  expect(seen.replace("/container ", " ")).toBe(`${path} ${LIMIT}`);
});

test("ends a command that takes too long, and goes on", async () => {
  const { status, stdout } = await machine.runScript("echo before; sleep 600; echo after", { seconds: 6 });
  expect({ status, stdout }).toEqual({ status: 124, stdout: "before\n" });
  expect(await output("echo alive")).toBe("alive");
});

test("carries arguments, variables, both outputs and the status unchanged", async () => {
  const script = String.raw`printf '%s|' "$@" "$WORD"; echo wrong >&2; exit 3`;
  const result = await runInMachine(machine, ["sh", "-c", script, "sh", "it's", "$HOME", "a  b\n", ""], { env: { WORD: "x 'y' é" } });
  expect(result).toEqual({ status: 3, stdout: "it's|$HOME|a  b\n||x 'y' é|", stderr: "wrong\n" });
});

test("a machine that dies is reported with the end of its console", async () => {
  await expect(machine.runScript("echo c >/proc/sysrq-trigger")).rejects.toThrow(/stopped by itself[^]*sysrq triggered crash/i);
  await expect(machine.runScript("true")).rejects.toThrow("stopped by itself");
});
