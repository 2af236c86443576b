import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BUSYBOX } from "./images.ts";
import { Podman } from "./podman.ts";
import { namespaceOf } from "./support.ts";

// What `podman run OPTION` makes of the container, read from inside it.

let podman: Podman;
beforeAll(async () => {
  podman = await Podman.start("options", [BUSYBOX], { mode: "namespace" });
});
afterAll(async () => podman?.[Symbol.asyncDispose]());

const lines = async (options: readonly string[], script: string) => (await podman.sh(options, script)).split("\n");

/** `podman run --rm` of a script that may fail. */
const attempt = (options: readonly string[], script: string) => podman.podman("run", "--rm", ...options, BUSYBOX.name, "sh", "-c", script);

/** A script that prints a field of the command's own status. */
const status = (field: string) => `sed -n 's/^${field}:\\s*//p' /proc/self/status`;
const own = (type: string) => namespaceOf(process.pid, type);

describe("files", () => {
  test("--read-only: nothing but the tmpfs places can be written", async () => {
    const script = "for d in / /etc /tmp /run /dev/shm; do touch $d/x 2>/dev/null && echo $d; done; true";
    expect(await lines(["--read-only"], script)).toEqual(["/tmp", "/run", "/dev/shm"]);
    expect(await lines(["--read-only", "--read-only-tmpfs=false"], script)).toEqual(["/dev/shm"]);
  });

  test("--tmpfs with size, mode and noexec", async () => {
    const script = "stat -c %a /scratch; cp /bin/busybox /scratch/x; /scratch/x true; echo $?; dd if=/dev/zero of=/scratch/big bs=1M count=8 2>/dev/null; echo $?";
    expect(await lines(["--tmpfs", "/scratch:size=4m,mode=1700,noexec"], script)).toEqual(["1700", "126", "1"]);
  });

  test("--volume read-write, read-only and of one file", async () => {
    const { workspace } = podman;
    mkdirSync(workspace.path("volume"));
    writeFileSync(workspace.path("volume/file"), "from outside\n");
    const volume = workspace.path("volume");
    const options = ["-v", `${volume}:/rw`, "-v", `${volume}:/ro:ro`, "-v", `${volume}/file:/one/file:ro`];
    expect(await lines(options, "echo inside >/rw/new; cat /ro/file /ro/new /one/file; touch /ro/x 2>/dev/null || echo refused; echo x 2>/dev/null >/one/file || echo refused")).toEqual([
      "from outside", "inside", "from outside", "refused", "refused",
    ]);
    expect(readFileSync(workspace.path("volume/new"), "utf8")).toBe("inside\n");
  });

  test("a named volume outlives its container", async () => {
    await podman.sh(["-v", "kept:/data"], "echo kept >/data/file");
    expect(await podman.sh(["-v", "kept:/data"], "cat /data/file")).toBe("kept");
  });

  test("--device: present with its rights, absent without", async () => {
    // /dev/fuse is in no default device list.
    expect(await podman.sh([], "test -e /dev/fuse || echo absent")).toBe("absent");
    expect(await podman.sh(["--device", "/dev/fuse"], "test -c /dev/fuse && dd if=/dev/fuse count=0 2>&1 | tail -1")).toMatch(/^0 bytes|0\+0/);
    const node = "mknod /n c 10 229 2>/dev/null && exec 3</n && echo opened";
    expect((await attempt(["--cap-add", "MKNOD"], node)).stdout).toBe("");
    expect((await attempt(["--cap-add", "MKNOD", "--device-cgroup-rule", "c 10:229 rmw"], node)).stdout).toBe("opened\n");
  });

  test("the usual devices, links and masked paths", async () => {
    expect(await podman.sh([], "for d in null zero full random urandom tty; do test -c /dev/$d || echo no $d; done; readlink /dev/fd; readlink /dev/ptmx; head -c4 /dev/zero | wc -c")).toBe("/proc/self/fd\npts/ptmx\n4");
    expect(await podman.sh([], "cat /proc/keys 2>/dev/null | wc -c; echo 1 2>/dev/null >/proc/sys/kernel/core_pattern || echo read-only; ls /proc/acpi /sys/firmware | grep -c :")).toBe("0\nread-only\n2");
  });
});

describe("identity", () => {
  test("--user by number and by name, --group-add", async () => {
    expect(await lines(["--user", "4000:5000"], "id -u; id -g")).toEqual(["4000", "5000"]);
    expect(await lines(["--user", "guest", "--group-add", "77"], "id -un; id -gn; id -G")).toEqual(["guest", "guest", "1234 77 4321"]);
  });

  test("--hostname, --workdir, --env", async () => {
    const options = ["--hostname", "probe", "--workdir", "/var", "--env", "ONE=1 and more"];
    expect(await lines(options, "hostname; pwd; echo $ONE")).toEqual(["probe", "/var", "1 and more"]);
  });

  test("--umask", async () => {
    expect(await podman.sh(["--umask", "0077"], "umask")).toBe("0077");
  });
});

describe("privileges", () => {
  test("--cap-drop, --cap-add", async () => {
    expect(await podman.sh(["--cap-drop", "all"], status("CapEff"))).toBe("0000000000000000");
    expect(await podman.sh(["--cap-drop", "all", "--cap-add", "CHOWN,NET_RAW"], status("CapBnd"))).toBe("0000000000002001");
    expect(await podman.sh(["--cap-drop", "CHOWN"], "chown 1:1 /tmp 2>/dev/null || echo refused")).toBe("refused");
    expect(await podman.sh([], "chown 1:1 /tmp && echo done")).toBe("done");
  });

  test("an ordinary user has no capability, and gets an added one as ambient", async () => {
    expect(await podman.sh(["--user", "1234"], status("CapEff"))).toBe("0000000000000000");
    expect(await lines(["--user", "1234", "--cap-add", "NET_RAW"], `${status("CapEff")}; ${status("CapAmb")}`)).toEqual(["0000000000002000", "0000000000002000"]);
  });

  test("--security-opt no-new-privileges", async () => {
    expect(await podman.sh([], status("NoNewPrivs"))).toBe("0");
    expect(await podman.sh(["--security-opt", "no-new-privileges"], status("NoNewPrivs"))).toBe("1");
  });

  test("seccomp: the default profile refuses unshare, unconfined has no filter", async () => {
    const script = `${status("Seccomp")}; unshare -m true 2>/dev/null || echo refused`;
    expect(await lines([], script)).toEqual(["2", "refused"]);
    expect(await lines(["--security-opt", "seccomp=unconfined"], status("Seccomp"))).toEqual(["0"]);
  });

  test("seccomp: a profile of one's own, errno included", async () => {
    const file = podman.workspace.path("profile.json");
    const syscalls = [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 28 }];
    writeFileSync(file, JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64"], syscalls }));
    const done = await attempt(["--security-opt", `seccomp=${file}`], "mkdir /new");
    expect(done).toMatchObject({ code: 1 });
    expect(done.stderr).toContain("No space left on device");
  });

  test("--privileged: all devices, no filter, a writable sysfs", async () => {
    expect(await podman.sh(["--privileged"], `${status("Seccomp")}; test -c /dev/fuse && echo fuse; grep -c ' /sys ro,' /proc/self/mountinfo`).catch((failed: Error) => failed.message)).toContain("0\nfuse\n0");
  });
});

describe("limits", () => {
  test("--memory: the command that exceeds it is killed", async () => {
    const id = await podman.ok("create", "--memory", "24m", BUSYBOX.name, "tail", "/dev/zero");
    // conmon 2.1 writes its `oom` mark into the caller's directory, podman 4.3 looks for it in the bundle.
    const cwd = podman.workspace.path("root/overlay-containers", id, "userdata");
    expect((await podman.call(podman.argv("start", "--attach", id), { cwd })).code).toBe(137);
    expect(await podman.inspect(id, "{{.State.OOMKilled}} {{.State.ExitCode}} {{.State.Status}}")).toBe("true 137 exited");
    await podman.remove(id);
  });

  test("the limits stand in the container's cgroups", async () => {
    const options = ["--memory", "64m", "--memory-reservation", "32m", "--cpus", "0.5", "--cpu-shares", "512", "--cpuset-cpus", "0", "--pids-limit", "77"];
    const files = ["memory/memory.limit_in_bytes", "memory/memory.soft_limit_in_bytes", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us", "cpu/cpu.shares", "cpuset/cpuset.cpus", "pids/pids.max"];
    expect(await lines(options, `cd /sys/fs/cgroup; cat ${files.join(" ")}`)).toEqual(["67108864", "33554432", "50000", "100000", "512", "0", "77"]);
  });

  test("--pids-limit: a fork too many fails", async () => {
    const done = await attempt(["--pids-limit", "8"], "for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait");
    expect(done.stderr).toContain("can't fork");
  });

  test("--ulimit", async () => {
    expect(await lines(["--ulimit", "nofile=100:200", "--ulimit", "nproc=300:300", "--ulimit", "core=0"], "ulimit -n; ulimit -Hn; ulimit -c; grep processes /proc/self/limits")).toEqual(["100", "200", "0", expect.stringMatching(/ 300 +300 /)]);
  });

  test("--shm-size", async () => {
    expect(await podman.sh(["--shm-size", "1m"], "df -k /dev/shm | tail -1 | awk '{ print $2 }'")).toBe("1024");
  });

  test("--oom-score-adj", async () => {
    expect(await podman.sh(["--oom-score-adj", "500"], "cat /proc/self/oom_score_adj")).toBe("500");
  });
});

describe("namespaces", () => {
  const types = ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup"] as const;
  const inside = (options: readonly string[]) => lines(options, `for n in ${types.join(" ")}; do readlink /proc/self/ns/$n; done`);

  test("new ones by default, except the user's", async () => {
    const found = await inside(["--cgroupns", "private"]);
    expect(types.filter((type, index) => found[index] === own(type))).toEqual(["user"]);
  });

  test.each(["pid", "ipc", "uts", "cgroupns"])("--%s=host shares the host's", async (option) => {
    const found = await inside([`--${option}=host`]);
    const type = option.replace("cgroupns", "cgroup");
    expect(found[types.indexOf(type as (typeof types)[number])]).toBe(own(type));
  });

  test("--network host and none", async () => {
    expect((await inside(["--network", "host"]))[2]).toBe(own("net"));
    expect(await lines(["--network", "none"], "ls /sys/class/net; ping -c1 -W1 127.0.0.1 >/dev/null && echo reachable")).toEqual(["lo", "reachable"]);
  });

  test("--pid=container: joins the other's", async () => {
    const id = await podman.background(["--name", "first"], "sleep", "100");
    expect(await podman.sh(["--pid", "container:first"], "ps -o comm,pid | awk '$1 == \"sleep\" { print $2 }'")).toBe("1");
    await podman.remove(id);
  });

  test("--sysctl", async () => {
    const options = ["--sysctl", "kernel.shmmax=123456", "--sysctl", "net.ipv4.ip_default_ttl=33"];
    expect(await lines(options, "cat /proc/sys/kernel/shmmax /proc/sys/net/ipv4/ip_default_ttl")).toEqual(["123456", "33"]);
    expect(readFileSync("/proc/sys/net/ipv4/ip_default_ttl", "utf8")).not.toBe("33\n");
  });
});

describe("user namespace", () => {
  const mapped = ["--uidmap", "0:200000:5000", "--gidmap", "0:300000:5000"];

  test("the maps of --uidmap and --gidmap", async () => {
    const found = await lines(mapped, "cat /proc/self/uid_map /proc/self/gid_map; id -u; stat -c '%u %g' /etc/passwd");
    expect(found.map((line) => line.trim().split(/\s+/).join(" "))).toEqual(["0 200000 5000", "0 300000 5000", "0", "0 0"]);
  });

  test("root inside is nobody outside", async () => {
    const id = await podman.background(mapped, "sleep", "100");
    const { init } = await podman.pids(id);
    expect(readFileSync(`/proc/${init}/status`, "utf8")).toMatch(/^Uid:\t200000\t200000\t/m);
    expect(await podman.ok("exec", id, "id", "-u")).toBe("0");
    await podman.remove(id);
  });

  test("works with devices, a volume, sysctl and limits", async () => {
    mkdirSync(podman.workspace.path("lent"));
    const options = [...mapped, "-v", `${podman.workspace.path("lent")}:/lent:ro`, "--memory", "64m", "--sysctl", "kernel.shmmax=4096", "--read-only"];
    expect(await lines(options, "head -c2 /dev/zero | wc -c; stat -c %u /lent; cat /proc/sys/kernel/shmmax; touch /x 2>/dev/null || echo read-only")).toEqual(["2", "65534", "4096", "read-only"]);
  });
});
