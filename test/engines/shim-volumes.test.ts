/** What a pod's specification says about volumes, users and rights, as the kubelet hands it on. */
import { chmodSync, chownSync, mkdirSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SecurityProfile_ProfileType } from "./cri/generated/cri_pb.js";
import { HANDLERS } from "./cri/node.ts";
import { type Pod, Pods } from "./cri/pods.ts";
import { cgroupFile, eventually } from "./support.ts";

let pods: Pods;
beforeAll(async () => {
  pods = await Pods.start();
});
afterAll(async () => pods?.[Symbol.asyncDispose]());

const FSGROUP = 2000;
/** Whom the image does not know. */
const USER = 3333;
const SLEEP = "exec sleep 1000";

/** As the kubelet writes configMaps: the names are links through `..data`, which is replaced at once. Source: Kubernetes, pkg/volume/util/atomic_writer.go. */
class Projected {
  readonly directory: string;
  #version = 0;

  constructor(directory: string) {
    this.directory = directory;
    mkdirSync(directory);
  }

  write(files: Readonly<Record<string, string>>): void {
    const target = `..version_${this.#version++}`;
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.directory, target, name)), { recursive: true });
      writeFileSync(join(this.directory, target, name), text);
    }
    symlinkSync(target, join(this.directory, "..data_tmp"));
    renameSync(join(this.directory, "..data_tmp"), join(this.directory, "..data"));
    for (const name of new Set(Object.keys(files).map((file) => file.split("/")[0] ?? ""))) {
      if (this.#version === 1) symlinkSync(`..data/${name}`, join(this.directory, name));
    }
  }
}

/** The output of a script in a container, which complains about nothing. */
async function sh(id: string, script: string): Promise<string> {
  const done = await pods.cri.exec(id, "sh", "-c", script);
  expect(done.stderr).toBe("");
  return done.stdout.trim();
}

describe.each(["namespace", "sentry"] as const)("%s", (mode) => {
  let pod: Pod;
  const path = (name: string) => pods.containerd.workspace.path(`${mode}-${name}`);
  const directory = (name: string) => {
    mkdirSync(path(name));
    return path(name);
  };
  beforeAll(async () => {
    pod = await pods.run(mode, HANDLERS[mode], { sysctls: { "net.ipv4.ip_unprivileged_port_start": "80", "kernel.shm_rmid_forced": "1" } });
  });
  afterAll(async () => pod?.remove());

  test("emptyDir with fsGroup: a user of the supplemental group writes in it, and so does another container", async () => {
    const volume = directory("empty");
    chownSync(volume, 0, FSGROUP);
    chmodSync(volume, 0o2775);
    const mounts = [{ containerPath: "/data", hostPath: volume }];
    const security = { runAsUser: { value: BigInt(USER) }, runAsGroup: { value: BigInt(USER) }, supplementalGroups: [BigInt(FSGROUP)] };
    const [writer, reader] = [await pod.start("writer", SLEEP, { mounts, security }), await pod.start("reader", SLEEP, { mounts, security: { ...security, runAsUser: { value: 4321n } } })];
    expect(await sh(writer, "id -u; id -g; id -G; echo one > /data/file; chmod 660 /data/file")).toBe(`${USER}\n${USER}\n${USER} ${FSGROUP}`);
    expect(await sh(reader, "cat /data/file; echo two >> /data/file; stat -c '%u %g' /data/file")).toBe(`one\n${USER} ${FSGROUP}`);
    expect(readFileSync(`${volume}/file`, "utf8")).toBe("one\ntwo\n");
    expect(statSync(`${volume}/file`)).toMatchObject({ uid: USER, gid: FSGROUP });
  });

  test("subPath: a directory within a volume, and one file; read-only where it is asked", async () => {
    const volume = directory("sub");
    mkdirSync(`${volume}/inner`);
    writeFileSync(`${volume}/file`, "the file\n");
    writeFileSync(`${volume}/outer`, "not to be seen\n");
    const mounts = [{ containerPath: "/inner", hostPath: `${volume}/inner` }, { containerPath: "/etc/one.conf", hostPath: `${volume}/file`, readonly: true }];
    const id = await pod.start("sub", SLEEP, { mounts });
    expect(await sh(id, "ls -A /inner/..  | grep -c outer; cat /etc/one.conf; (echo x > /etc/one.conf) 2>/dev/null || echo refused; echo y > /inner/new")).toBe("0\nthe file\nrefused");
    expect(readFileSync(`${volume}/inner/new`, "utf8")).toBe("y\n");
  });

  test("a projected volume: what is swapped is seen at once and whole, in the container that runs", async () => {
    const volume = new Projected(path("projected"));
    volume.write({ "key": "old", "sub/other": "old" });
    const id = await pod.start("projected", SLEEP, { mounts: [{ containerPath: "/config", hostPath: volume.directory, readonly: true }] });
    const both = "cat /config/key /config/sub/other";
    expect(await sh(id, both)).toBe("oldold");
    for (const text of ["new", "newer"]) {
      volume.write({ "key": text, "sub/other": text });
      await eventually("the new one is seen", async () => {
        const seen = await sh(id, both);
        // Two opens may lie on both sides of the swap; each file has one text or the other.
        expect(seen).toMatch(/^((old|newer|new)){2}$/);
        return seen === text + text;
      });
    }
  });

  test("sysctls of the pod", async () => {
    const id = await pod.start("sysctls", SLEEP, { security: { runAsUser: { value: BigInt(USER) } } });
    expect(await sh(id, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; nc -l -p 80 -e true & until nc 127.0.0.1 80 </dev/null 2>/dev/null; do sleep 0.1; done; echo listens")).toBe("80\nlistens");
    // What a sandbox shows below kernel/ is its own configuration, which is not the pod's.
    if (mode === "namespace") expect(await sh(id, "cat /proc/sys/kernel/shm_rmid_forced")).toBe("1");
  });

  test("a root file system that is read-only, without new privileges", async () => {
    const volume = directory("scratch");
    const id = await pod.start("read-only", SLEEP, { security: { readonlyRootfs: true, noNewPrivs: true }, mounts: [{ containerPath: "/scratch", hostPath: volume }] });
    expect(await sh(id, "touch /file 2>/dev/null || echo refused; touch /scratch/file && echo made; grep NoNewPrivs /proc/self/status")).toBe("refused\nmade\nNoNewPrivs:\t1");
  });

  test("seccomp: a profile of the node's, the runtime's default, none", async () => {
    const profile = path("profile.json");
    writeFileSync(profile, JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 13 }] }));
    const { Localhost, RuntimeDefault, Unconfined } = SecurityProfile_ProfileType;
    const script = "mkdir /tmp/made 2>/dev/null || echo mkdir refused; unshare -U true 2>/dev/null || echo unshare refused";
    expect(await sh(await pod.start("localhost", SLEEP, { security: { seccomp: { profileType: Localhost, localhostRef: profile } } }), script)).toMatch(/^mkdir refused/);
    expect(await sh(await pod.start("default", SLEEP, { security: { seccomp: { profileType: RuntimeDefault } } }), script)).toBe("unshare refused");
    // A sandbox gives no namespaces away, whatever the profile.
    expect(await sh(await pod.start("unconfined", SLEEP, { security: { seccomp: { profileType: Unconfined } } }), script)).toBe(mode === "namespace" ? "" : "unshare refused");
  });

  test("resources resized in place: the cgroup has them, and the container goes on", async () => {
    const id = await pod.start("resized", SLEEP, { resources: { memoryLimitInBytes: 64n << 20n, cpuQuota: 50_000n, cpuPeriod: 100_000n, cpuShares: 512n } });
    const pid = await pods.containerd.pid(id);
    const now = () => [cgroupFile(pid, "memory", "memory.limit_in_bytes"), cgroupFile(pid, "cpu", "cpu.cfs_quota_us"), cgroupFile(pid, "cpu", "cpu.shares")];
    expect(now()).toEqual([String(64 << 20), "50000", "512"]);
    await pods.cri.update(id, { memoryLimitInBytes: 128n << 20n, cpuQuota: 150_000n, cpuPeriod: 100_000n, cpuShares: 1024n });
    expect(now()).toEqual([String(128 << 20), "150000", "1024"]);
    expect(await pods.containerd.pid(id)).toBe(pid);
    expect(await sh(id, "echo still")).toBe("still");
  });

  test("probes while the container takes all the CPU it may have: each is answered", async () => {
    const id = await pod.start("busy", "for i in 1 2 3; do while :; do :; done & done; wait", { resources: { cpuQuota: 50_000n, cpuPeriod: 100_000n } });
    const codes: number[] = [];
    for (let round = 0; round < 5; round++) {
      const probes = [0, 1, 2].map((n) => pods.cri.exec(id, "sh", "-c", `exit ${n}`));
      codes.push(...(await Promise.all(probes)).map(({ code }) => code));
    }
    expect(codes).toEqual(Array.from({ length: 15 }, (_, n) => n % 3));
  });
});

// In namespace mode: a sandbox's kernel is not told what others do on the host (docs/decisions/0012-file-caching.md).
test("a projected volume: its swap is told by inotify", async () => {
  const pod = await pods.run("watching", HANDLERS.namespace);
  const volume = new Projected(pods.containerd.workspace.path("watched"));
  volume.write({ key: "old" });
  const host = { containerPath: "/debian", hostPath: "/usr", readonly: true };
  const perl = "/debian/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --library-path /debian/lib/x86_64-linux-gnu /debian/bin/perl -e";
  // inotify_init, inotify_add_watch(IN_MOVED_TO): the event's name begins at byte 16. Source: inotify(7).
  const script = `$fd = syscall(253); $dir = "/config"; syscall(254, $fd, $dir, 0x80) >= 0 or die; print "watches\\n"; open(F, "<&=", $fd); do { sysread(F, $event, 4096); $name = unpack("x16 Z*", $event) } until $name eq "..data"; print "$name\\n"`;
  const id = await pod.start("watched", `${perl} '$| = 1; ${script}'`, { mounts: [host, { containerPath: "/config", hostPath: volume.directory, readonly: true }] });
  await eventually("it watches", () => pod.log("watched").length === 1);
  volume.write({ key: "new" });
  expect(await pods.exited(id)).toMatchObject({ exitCode: 0 });
  await eventually("it has said so", () => pod.log("watched")[1] === "stdout F ..data");
  await pod.remove();
});
