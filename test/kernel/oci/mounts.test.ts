import { chownSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Bundle } from "../../support/bundle.ts";
import { describeRuntime } from "../../support/contract.ts";
import { mountAt, parseMountinfo } from "../../support/probe.ts";
import { runRuntime } from "../../support/runtime.ts";
import type { Mount, Spec } from "../../support/spec.ts";

/** A directory of the host with a file `file` and a directory `sub`, in the bundle but outside the root file system. */
function source(bundle: Bundle, name = "source"): string {
  const dir = bundle.path(name);
  mkdirSync(`${dir}/sub`, { recursive: true });
  writeFileSync(`${dir}/file`, "host\n");
  return dir;
}

/** The same with a tmpfs mounted on `sub`. */
async function sourceWithSubmount(bundle: Bundle): Promise<string> {
  const dir = source(bundle);
  const result = await runRuntime(["mount", "-t", "tmpfs", "sub", `${dir}/sub`]);
  expect(result.code, result.stderr).toBe(0);
  writeFileSync(`${dir}/sub/inner`, "inner\n");
  return dir;
}

const bind = (from: string, destination: string, ...options: string[]): Mount => ({ destination, type: "bind", source: from, options });
const tmpfs = (destination: string, ...options: string[]): Mount => ({ destination, type: "tmpfs", source: "tmpfs", options });
const adding = (...mounts: Mount[]) => (spec: Spec) => {
  spec.mounts.push(...mounts);
};
const old = { "runc 1.1": "the option is newer" };

describeRuntime("mounts: options", ({ test, make }) => {
  const options: [string, string[], string[]][] = [
    ["ro", [], ["rw"]], ["nosuid", ["nosuid"], []], ["nodev", ["nodev"], []], ["noexec", ["noexec"], []], ["noatime", ["noatime"], ["relatime"]],
    ["nodiratime", ["nodiratime"], []], ["relatime", ["relatime"], []], ["nosymfollow", ["nosymfollow"], []],
  ];
  for (const [option, present, absent] of options) {
    test(`${option} on a tmpfs and on a bind`, async () => {
      await using c = make({ args: ["/probe"], edit: (spec, bundle) => adding(tmpfs("/t", option), bind(source(bundle), "/b", "bind", option))(spec) });
      const { mountinfo } = await c.probe();
      for (const point of ["/t", "/b"]) {
        const { options: found } = mountAt(mountinfo!, point);
        expect(found, point).toEqual(expect.arrayContaining(option === "ro" ? ["ro"] : present));
        for (const name of absent) expect(found, point).not.toContain(name);
      }
    });
  }

  test("strictatime is neither relatime nor noatime", async () => {
    await using c = make({ args: ["/probe"], edit: adding(tmpfs("/t", "strictatime")) });
    const { options: found } = mountAt((await c.probe()).mountinfo!, "/t");
    expect(found.filter((name) => name.endsWith("atime"))).toEqual([]);
  });

  test("the last of two opposites counts", async () => {
    await using c = make({ args: ["/probe"], edit: adding(tmpfs("/t", "ro", "rw", "nosuid", "suid", "noexec", "exec", "dev", "nodev")) });
    expect(mountAt((await c.probe()).mountinfo!, "/t").options).toEqual(["rw", "nodev", "relatime"]);
  });

  test("sync, dirsync, lazytime and the options without effect are accepted", { cannot: { "runc 1": "hands `defaults` on to the file system" } }, async () => {
    await using c = make({ args: ["/probe"], edit: adding(tmpfs("/t", "sync", "dirsync", "defaults", "async", "loud", "silent", "diratime", "norelatime", "nostrictatime", "symfollow", "nolazytime")) });
    expect(mountAt((await c.probe()).mountinfo!, "/t").type).toBe("tmpfs");
  });

  test("a bind has the options of its own, the source keeps its own", async () => {
    await using c = make({ args: ["sh", "-c", "echo x > /b/file; cat /b/file"], edit: (spec, bundle) => adding(bind(source(bundle), "/b", "bind", "ro"))(spec) });
    const result = await c.run();
    expect(result.stdout).toBe("host\n");
    expect(result.stderr).toMatch(/Read-only file system/);
    writeFileSync(c.bundle.path("source/file"), "still writable\n");
  });

  test("tmpfs: mode, size, uid, gid and nr_inodes", async () => {
    await using c = make({ args: ["sh", "-c", "stat -c '%a %u %g' /t; stat -f -c '%b %S %c' /t; cat /proc/self/mountinfo"], edit: adding(tmpfs("/t", "mode=1750", "size=1m", "uid=12", "gid=34", "nr_inodes=99")) });
    const [owner, size] = (await c.mustRun()).split("\n");
    expect(owner).toBe("1750 12 34");
    expect(size).toBe("256 4096 99");
  });

  test("tmpfs: more than its size cannot be written", async () => {
    await using c = make({ args: ["sh", "-c", "dd if=/dev/zero of=/t/f bs=64k count=100 2>&1 | grep -o 'No space left'; stat -c %s /t/f"], edit: adding(tmpfs("/t", "size=512k")) });
    expect(await c.mustRun()).toBe("No space left\n524288\n");
  });

  test("tmpcopyup copies what lay there, with modes and links, and hides nothing of it on the host", async () => {
    await using c = make({ args: ["sh", "-c", "cat /data/a; readlink /data/link; stat -c %a /data/secret; ls /data/dir; echo new > /data/a"], edit: (spec, bundle) => {
      bundle.file("data/a", "content\n");
      bundle.file("data/secret", "", 0o600);
      bundle.file("data/dir/inside", "");
      spec.mounts.push(tmpfs("/data", "tmpcopyup", "size=1m"));
    } });
    await runRuntime(["ln", "-s", "a", `${c.rootfs}/data/link`]);
    expect(await c.mustRun()).toBe("content\na\n600\ninside\n");
    expect(c.bundle.read("data/a")).toBe("content\n");
  });

  test("mounts are made in the listed order: a later one covers an earlier one", async () => {
    await using c = make({ args: ["sh", "-c", "ls /m; ls /m/sub"], edit: (spec, bundle) => {
      adding(tmpfs("/m"), bind(source(bundle), "/m", "bind"), bind(source(bundle, "other"), "/m/sub", "bind"))(spec);
    } });
    expect(await c.mustRun()).toBe("file\nsub\nfile\nsub\n");
  });

  test("an option that the file system does not know fails and leaves nothing", async () => {
    await using c = make({ edit: adding(tmpfs("/t", "nosuchoption=1")) });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/\/t\b|nosuchoption/);
    await c.expectNothingLeft();
  });

  test("an unknown file system type fails and leaves nothing", async () => {
    await using c = make({ edit: adding({ destination: "/t", type: "nosuchfs", source: "x" }) });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/nosuchfs|"\/t\\?"/);
    await c.expectNothingLeft();
  });
});

describeRuntime("mounts: binds", ({ test, make }) => {
  test("bind takes the directory alone, rbind what is mounted below it", async () => {
    await using c = make({ args: ["sh", "-c", "ls /b/sub | wc -l; cat /r/sub/inner"] });
    const dir = await sourceWithSubmount(c.bundle);
    adding(bind(dir, "/b", "bind"), bind(dir, "/r", "rbind"))(c.spec);
    c.bundle.write();
    expect(await c.mustRun()).toBe("0\ninner\n");
  });

  test("bind and rbind make a bind mount whatever the type says", async () => {
    await using c = make({ args: ["cat", "/b/file"], edit: (spec, bundle) => adding({ destination: "/b", type: "none", source: source(bundle), options: ["rbind"] })(spec) });
    expect(await c.mustRun()).toBe("host\n");
  });

  test("a relative source counts from the bundle", async () => {
    await using c = make({ args: ["cat", "/b/file"], edit: (spec, bundle) => { source(bundle); adding(bind("source", "/b", "bind"))(spec); } });
    expect(await c.mustRun({ cwd: "/" })).toBe("host\n");
  });

  test("a file is bound on a file, and its destination is made as a file, its directories as directories, mode 755 whatever the umask", { cannot: { "runc 1": "applies the caller's umask" } }, async () => {
    await using c = make({ args: ["sh", "-c", "cat /etc/hostname /new/deep/file; stat -c %F /new/deep /new/deep/file"], edit: (spec, bundle) => {
      const file = `${source(bundle)}/file`;
      adding(bind(file, "/etc/hostname", "bind", "ro"), bind(file, "/new/deep/file", "bind"))(spec);
    } });
    expect(await c.mustRun({ prefix: ["sh", "-c", 'umask 077; exec "$@"', "sh"] })).toBe("host\nhost\ndirectory\nregular file\n");
    expect(statSync(`${c.rootfs}/new/deep`).mode & 0o777).toBe(0o755);
  });

  test("destinations of directories are made as directories", async () => {
    await using c = make({ args: ["stat", "-c", "%n %F", "/made/one", "/made/two"], edit: (spec, bundle) => adding(bind(source(bundle), "/made/one", "bind"), tmpfs("/made/two"))(spec) });
    expect(await c.mustRun()).toBe("/made/one directory\n/made/two directory\n");
  });

  test("a socket and a device node can be bound", async () => {
    await using c = make({ args: ["sh", "-c", "stat -c %F /s /n; echo x > /n"], edit: (spec) => {
      delete spec.linux.resources;
      adding(bind("/dev/null", "/n", "bind"))(spec);
    } });
    const made = await runRuntime(["python3", "-c", `import socket; socket.socket(socket.AF_UNIX).bind("${c.bundle.path("s")}")`]);
    expect(made.code, made.stderr).toBe(0);
    adding(bind("s", "/s", "bind"))(c.spec);
    c.bundle.write();
    expect(await c.mustRun()).toBe("socket\ncharacter special file\n");
  });

  test("a source that is a symbolic link is followed on the host", async () => {
    await using c = make({ args: ["cat", "/b/file"], edit: (spec, bundle) => { source(bundle); adding(bind("link", "/b", "bind"))(spec); } });
    await runRuntime(["ln", "-s", "source", c.bundle.path("link")]);
    expect(await c.mustRun()).toBe("host\n");
  });

  test("a missing source fails, names it and leaves nothing", async () => {
    await using c = make({ edit: adding(bind("/no/such/source", "/b", "bind")) });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/\/no\/such\/source/);
    await c.expectNothingLeft();
  });

  test("a directory on a file fails and leaves nothing", async () => {
    await using c = make({ edit: (spec, bundle) => adding(bind(source(bundle), "/etc/hostname", "bind"))(spec) });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/\/etc\/hostname/);
    await c.expectNothingLeft();
  });
});

describeRuntime("mounts: recursive attributes", ({ test, make }) => {
  const recursive: [string, string[], string[]][] = [
    ["rro", ["ro"], []], ["rnosuid", ["nosuid"], []], ["rnodev", ["nodev"], []], ["rnoexec", ["noexec"], []], ["rnoatime", ["noatime"], []],
    ["rnodiratime", ["nodiratime"], []], ["rnosymfollow", ["nosymfollow"], []],
  ];
  for (const [option, present] of recursive) {
    test(`${option} holds for the mount and for those below it`, async () => {
      await using c = make({ args: ["/probe"] });
      const dir = await sourceWithSubmount(c.bundle);
      adding(bind(dir, "/r", "rbind", option))(c.spec);
      c.bundle.write();
      const { mountinfo } = await c.probe();
      for (const point of ["/r", "/r/sub"]) expect(mountAt(mountinfo!, point).options, point).toEqual(expect.arrayContaining(present));
    });
  }

  test("ro is for the mount alone", async () => {
    await using c = make({ args: ["/probe"] });
    adding(bind(await sourceWithSubmount(c.bundle), "/r", "rbind", "ro"))(c.spec);
    c.bundle.write();
    const { mountinfo } = await c.probe();
    expect(mountAt(mountinfo!, "/r").options).toContain("ro");
    expect(mountAt(mountinfo!, "/r/sub").options).toContain("rw");
  });

  test("the clearing forms clear: rrw, rsuid, rdev, rexec, rrelatime, ratime, rdiratime, rsymfollow", async () => {
    await using c = make({ args: ["/probe"] });
    const dir = await sourceWithSubmount(c.bundle);
    await runRuntime(["mount", "-o", "remount,bind,ro,nosuid,nodev,noexec,noatime,nodiratime", `${dir}/sub`]);
    adding(bind(dir, "/r", "rbind", "rrw", "rsuid", "rdev", "rexec", "rrelatime", "rdiratime", "rsymfollow"))(c.spec);
    c.bundle.write();
    expect(mountAt((await c.probe()).mountinfo!, "/r/sub").options).toEqual(["rw", "relatime"]);
  });

  test("rstrictatime and rnostrictatime are accepted", { cannot: old }, async () => {
    await using c = make({ args: ["/probe"] });
    const dir = await sourceWithSubmount(c.bundle);
    adding(bind(dir, "/a", "rbind", "rstrictatime"), bind(dir, "/b", "rbind", "rnorelatime", "rnostrictatime"))(c.spec);
    c.bundle.write();
    expect(mountAt((await c.probe()).mountinfo!, "/a/sub").options).not.toContain("relatime");
  });
});

describeRuntime("mounts: propagation", ({ test, make }) => {
  const expectations: [string, RegExp, string][] = [
    ["shared", /^shared:/, "none"], ["rshared", /^shared:/, "shared"], ["slave", /^master:/, "peers"], ["rslave", /^master:/, "peers"],
    ["private", /^$/, "none"], ["rprivate", /^$/, "none"], ["unbindable", /^unbindable$/, "none"], ["runbindable", /^unbindable$/, "none"],
  ];
  for (const [option, pattern, recursive] of expectations) {
    test(`${option} on a recursive bind of a shared tree`, async () => {
      await using c = make({ args: ["/probe"] });
      const dir = await sourceWithSubmount(c.bundle);
      await runRuntime(["sh", "-c", `mount --bind '${dir}' '${dir}' && mount -t tmpfs sub '${dir}/sub' && mount --make-rshared '${dir}'`]);
      adding(bind(dir, "/r", "rbind", option))(c.spec);
      c.bundle.write();
      const { mountinfo } = await c.probe();
      expect(mountAt(mountinfo!, "/r").optional.join(" ").replace(/ master:.*/, "")).toMatch(pattern);
      if (option.startsWith("r") && recursive !== "none") expect(mountAt(mountinfo!, "/r/sub").optional.join(" ")).toMatch(recursive === "shared" ? /shared:/ : /master:/);
    });
  }

  for (const rootfsPropagation of [undefined, "private", "rprivate", "slave", "rslave", "unbindable"]) {
    test(`a mount made in the container does not reach the host: rootfsPropagation ${rootfsPropagation}`, async () => {
      await using c = make({ args: ["sh", "-c", "mount -t tmpfs inner /mnt && grep -c ' /mnt ' /proc/self/mountinfo"], edit: (spec) => {
        if (rootfsPropagation !== undefined) spec.linux.rootfsPropagation = rootfsPropagation;
        const caps = ["CAP_SYS_ADMIN"];
        spec.process!.capabilities = { bounding: caps, effective: caps, permitted: caps };
      } });
      expect(await c.mustRun()).toBe("1\n");
      await c.expectNothingLeft();
    });
  }

  for (const [value, pattern] of [["private", /^$/], ["slave", /^master:\d+$|^$/], ["unbindable", /^unbindable$/], ["shared", /^shared:\d+/]] as const) {
    test(`rootfsPropagation ${value} is that of the root mount`, { cannot: value === "unbindable" || value === "shared" ? { "runc 1.1": "leaves it private" } : {} }, async () => {
      await using c = make({ args: ["/probe"], edit: (spec) => { spec.linux.rootfsPropagation = value; } });
      expect(mountAt((await c.probe()).mountinfo!, "/").optional.join(" ")).toMatch(pattern);
    });
  }

  test("an unknown rootfsPropagation is refused", async () => {
    await using c = make({ edit: (spec) => { spec.linux.rootfsPropagation = "sideways"; } });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/rootfsPropagation|sideways/i);
    await c.expectNothingLeft();
  });

  test("a mount that the host makes later appears in a slave bind", async () => {
    await using c = make({ args: ["sh", "-c", "echo up; while [ ! -e /r/sub/late ]; do sleep 0.02; done; echo seen"] });
    const dir = source(c.bundle);
    await runRuntime(["sh", "-c", `mount --bind '${dir}' '${dir}' && mount --make-shared '${dir}'`]);
    adding(bind(dir, "/r", "rbind", "rslave"))(c.spec);
    c.spec.linux.rootfsPropagation = "rslave";
    c.bundle.write();
    await c.mustBegin();
    await c.outputMatching(/up/);
    await runRuntime(["sh", "-c", `mount -t tmpfs late '${dir}/sub' && touch '${dir}/sub/late'`]);
    await c.outputMatching(/seen/);
  });
});

describeRuntime("mounts: idmapped", ({ test, make }) => {
  const mapping = [{ containerID: 0, hostID: 5000, size: 1000 }];
  const idmapped = (destination: string, from: string, ...options: string[]): Mount => ({ ...bind(from, destination, ...options), uidMappings: mapping, gidMappings: mapping });

  test("idmap shifts the owners of a bind, and of nothing below it", { cannot: old }, async () => {
    await using c = make({ args: ["stat", "-c", "%u:%g", "/b/file", "/b/sub/inner"] });
    const dir = await sourceWithSubmount(c.bundle);
    chownSync(`${dir}/file`, 7, 8);
    chownSync(`${dir}/sub/inner`, 7, 8);
    adding(idmapped("/b", dir, "rbind", "idmap"))(c.spec);
    c.bundle.write();
    expect(await c.mustRun()).toBe("5007:5008\n7:8\n");
  });

  test("ridmap shifts what is mounted below too", { cannot: old }, async () => {
    await using c = make({ args: ["stat", "-c", "%u:%g", "/b/file", "/b/sub/inner"] });
    const dir = await sourceWithSubmount(c.bundle);
    chownSync(`${dir}/sub/inner`, 7, 8);
    adding(idmapped("/b", dir, "rbind", "ridmap"))(c.spec);
    c.bundle.write();
    expect(await c.mustRun()).toBe("5000:5000\n5007:5008\n");
  });

  test("idmap without mappings uses those of the container's user namespace", { cannot: old }, async () => {
    await using c = make({ args: ["stat", "-c", "%u:%g", "/b/file"], edit: (spec, bundle) => {
      spec.linux.namespaces.push({ type: "user" });
      spec.linux.uidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
      spec.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
      const dir = source(bundle);
      mkdirSync(`${bundle.rootfs}/b`);
      chownSync(`${dir}/file`, 3, 4);
      adding(bind(dir, "/b", "bind", "idmap"))(spec);
    } });
    expect(await c.mustRun()).toBe("3:4\n");
  });

  test("idmap without mappings and without a user namespace is an error", { cannot: old }, async () => {
    await using c = make({ edit: (spec, bundle) => adding(bind(source(bundle), "/b", "bind", "idmap"))(spec) });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/map/i);
    await c.expectNothingLeft();
  });

  test("uidMappings without gidMappings is an error", { cannot: old }, async () => {
    await using c = make({ edit: (spec, bundle) => adding({ ...bind(source(bundle), "/b", "bind", "idmap"), uidMappings: mapping })(spec) });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/map/i);
    await c.expectNothingLeft();
  });
});

describeRuntime("mounts: kernel file systems", ({ test, make }) => {
  test("proc shows the container's processes", async () => {
    await using c = make({ args: ["sh", "-c", "ls /proc | grep -E '^[0-9]+$' | sort -n | head -1; cat /proc/1/comm; true"] });
    expect(await c.mustRun()).toBe("1\nsh\n");
  });

  test("sysfs, mqueue and devpts are mounted with their options; devpts is a new instance with ptmx", async () => {
    await using c = make({ args: ["sh", "-c", "cat /proc/self/mountinfo; ls /dev/pts; readlink /dev/ptmx"], edit: adding({ destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] }) });
    const text = await c.mustRun();
    const info = text.split("\n").filter((line) => line.includes(" - ")).join("\n");
    expect(mountAt(info, "/sys")).toMatchObject({ type: "sysfs", options: expect.arrayContaining(["ro", "nosuid", "nodev", "noexec"]) });
    expect(mountAt(info, "/dev/mqueue")).toMatchObject({ type: "mqueue" });
    expect(mountAt(info, "/dev/pts")).toMatchObject({ type: "devpts", superOptions: expect.arrayContaining(["gid=5", "mode=620", "ptmxmode=666"]) });
    expect(text).toMatch(/\nptmx\n(\/dev\/)?pts\/ptmx\n$/);
  });

  test("cgroup v1: every hierarchy is there, read-only, and shows the container's own group as its root", async () => {
    await using c = make({ args: ["sh", "-c", "cat /sys/fs/cgroup/memory/cgroup.procs; ls -d /sys/fs/cgroup/*; mkdir /sys/fs/cgroup/memory/x 2>&1; cat /proc/self/mountinfo"], edit: (spec) => {
      spec.linux.namespaces.push({ type: "cgroup" });
      spec.mounts.push({ destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["nosuid", "noexec", "nodev", "ro"] });
    } });
    const text = await c.mustRun();
    expect(text.split("\n")[0]).toBe("1");
    for (const name of ["memory", "cpu", "pids", "devices", "freezer", "blkio", "cpuset", "cpuacct"]) expect(text).toContain(`/sys/fs/cgroup/${name}\n`);
    expect(text).toMatch(/Read-only file system|Permission denied/);
    const info = text.split("\n").filter((line) => line.includes(" - ")).join("\n");
    expect(mountAt(info, "/sys/fs/cgroup/memory")).toMatchObject({ type: "cgroup", root: "/", options: expect.arrayContaining(["ro"]) });
  });

  test("cgroup v1 without a cgroup namespace: the container's own group is bound in place", async () => {
    await using c = make({ args: ["sh", "-c", "cat /sys/fs/cgroup/pids/cgroup.procs | head -1; cat /proc/self/mountinfo"], edit: adding({ destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro"] }) });
    const text = await c.mustRun();
    expect(text.split("\n")[0]).toBe("1");
    const info = text.split("\n").filter((line) => line.includes(" - ")).join("\n");
    expect(mountAt(info, "/sys/fs/cgroup/pids")).toMatchObject({ type: "cgroup", root: `/${c.id}` });
  });

  test("the default mounts of the specification's example need nothing else", async () => {
    await using c = make({ args: ["sh", "-c", "cut -d' ' -f5 /proc/self/mountinfo | sort -u"], edit: (spec) => { delete spec.linux.maskedPaths; delete spec.linux.readonlyPaths; } });
    expect((await c.mustRun()).trim().split("\n")).toEqual(["/", "/dev", "/dev/pts", "/dev/shm", "/proc", "/sys"]);
  });

  test("nothing of the host's mount tree is left in the container", async () => {
    await using c = make({ args: ["/probe"] });
    const entries = parseMountinfo((await c.probe()).mountinfo!);
    const known = /^\/($|proc|dev|sys)/;
    expect(entries.filter(({ point }) => !known.test(point))).toEqual([]);
  });
});
