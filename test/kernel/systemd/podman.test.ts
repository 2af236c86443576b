// podman with systemd as cgroup manager, AppArmor's default profile and systemd's D-Bus: the defaults of a distribution.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeBundle, type Bundle } from "../../support/bundle.ts";
import { projectRoot } from "../../support/paths.ts";

const IMAGE = "localhost/lane-busybox";
const name = `lane-${process.pid}`;
let bundle: Bundle;

function podman(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync("podman", ["--cgroup-manager", "systemd", "--runtime", join(projectRoot, "bin/tssandbox"), "--runtime-flag", "mode=namespace", ...args], { encoding: "utf8", timeout: 280_000 });
  expect(status, `podman ${args.join(" ")}: ${stdout}${stderr}`).toBe(0);
  return stdout.trim();
}

beforeAll(() => {
  bundle = makeBundle();
  const archive = bundle.path("root.tar");
  const packed = spawnSync("tar", ["-C", bundle.rootfs, "-cf", archive, "."], { encoding: "utf8" });
  expect(packed.status, packed.stderr).toBe(0);
  podman("import", "--quiet", archive, IMAGE);
});

afterAll(() => {
  podman("rm", "--all", "--force", "--time", "0");
  bundle[Symbol.dispose]();
});

describe("podman with systemd", () => {
  it("runs a container in a scope with its limits, under the default profile", () => {
    podman("run", "--detach", "--name", name, "--network", "none", "--memory", "64m", "--cpus", "0.5", "--pids-limit", "44", IMAGE, "sleep", "1000");
    const [pid = "", id = ""] = podman("inspect", "--format", "{{.State.Pid}} {{.Id}}", name).split(" ");
    const cgroup = readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().slice("0::".length);
    expect(cgroup).toBe(`/machine.slice/libpod-${id}.scope`);
    const read = (file: string) => readFileSync(`/sys/fs/cgroup${cgroup}/${file}`, "utf8").trim();
    expect([read("memory.max"), read("cpu.max"), read("pids.max")]).toEqual([String(64 << 20), "50000 100000", "44"]);
    expect(readFileSync(`/proc/${pid}/attr/apparmor/current`, "utf8")).toMatch(/^containers-default-\S+ \(enforce\)\n$/);
    expect(podman("exec", name, "sh", "-c", "id -u; cat /proc/self/attr/apparmor/current")).toMatch(/^0\ncontainers-default-\S+ \(enforce\)$/);
    expect(podman("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.MemUsage}}", name)).toMatch(new RegExp(`^${name} 1 \\S+ / 67.11MB$`));
    podman("update", "--memory", "80m", name);
    expect(read("memory.max")).toBe(String(80 << 20));
    podman("rm", "--force", "--time", "0", name);
    expect(existsSync(`/sys/fs/cgroup${cgroup}`)).toBe(false);
    expect(spawnSync("systemctl", ["show", "--value", "--property=LoadState", `libpod-${id}.scope`], { encoding: "utf8" }).stdout.trim()).toBe("not-found");
  });
});
