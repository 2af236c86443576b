import { existsSync, lstatSync, mkdirSync, readdirSync, readlinkSync, rmdirSync, symlinkSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { mountAt } from "../../support/probe.ts";
import type { Device, Spec } from "../../support/spec.ts";

const withDevices = (...devices: Device[]) => (spec: Spec) => {
  spec.linux.devices = devices;
};

describeRuntime("root file system: devices", ({ test, make }) => {
  test("the default devices are there, open to everyone, and work", async () => {
    const names = ["null", "zero", "full", "random", "urandom", "tty"];
    await using c = make({ args: ["sh", "-c", `stat -c '%n %F %t:%T %a %u:%g' ${names.map((name) => `/dev/${name}`).join(" ")}; head -c2 /dev/urandom | wc -c; echo x > /dev/full`] });
    const result = await c.run();
    const numbers = ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0"];
    expect(result.stdout.trim().split("\n")).toEqual([...names.map((name, i) => `/dev/${name} character special file ${numbers[i]} 666 0:0`), "2"]);
    expect(result.stderr).toMatch(/No space left/);
  });

  test("the default links are there", async () => {
    await using c = make({ args: ["sh", "-c", "for f in fd stdin stdout stderr ptmx core; do echo $f $(readlink /dev/$f); done"] });
    const text = await c.mustRun();
    expect(text).toMatch(/^fd \/proc\/self\/fd\nstdin \/proc\/self\/fd\/0\nstdout \/proc\/self\/fd\/1\nstderr \/proc\/self\/fd\/2\nptmx (\/dev\/)?pts\/ptmx\n/);
  });

  test("linux.devices: kinds, numbers, modes and owners", async () => {
    await using c = make({ args: ["stat", "-c", "%n %F %t:%T %a %u:%g", "/dev/c", "/dev/deep/er/b", "/dev/p", "/outside"], edit: withDevices(
      { path: "/dev/c", type: "c", major: 10, minor: 229, fileMode: 0o640, uid: 3, gid: 4 },
      { path: "/dev/deep/er/b", type: "b", major: 7, minor: 200, fileMode: 0o600, uid: 0, gid: 6 },
      { path: "/dev/p", type: "p", fileMode: 0o622 },
      { path: "/outside", type: "u", major: 1, minor: 3, fileMode: 0o666 },
    ) });
    expect(await c.mustRun({ prefix: ["sh", "-c", 'umask 077; exec "$@"', "sh"] })).toBe(
      "/dev/c character special file a:e5 640 3:4\n/dev/deep/er/b block special file 7:c8 600 0:6\n/dev/p fifo 0:0 622 0:0\n/outside character special file 1:3 666 0:0\n",
    );
  });

  test("linux.devices may name a default device again, and it can still be used", { cannot: { "runc 1": "takes its own permission away" } }, async () => {
    await using c = make({ args: ["stat", "-c", "%t:%T %a", "/dev/null"], edit: withDevices({ path: "/dev/null", type: "c", major: 1, minor: 3, fileMode: 0o666 }) });
    expect(await c.mustRun()).toBe("1:3 666\n");
  });

  test("an unknown device type is refused and leaves nothing", async () => {
    await using c = make({ edit: withDevices({ path: "/dev/x", type: "z", major: 1, minor: 3 }) });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/device|type/i);
    await c.expectNothingLeft();
  });

  test("in a user namespace, where mknod is not allowed, devices are the host's, bound in place", async () => {
    await using c = make({ args: ["sh", "-c", "stat -c '%F %t:%T' /dev/null /dev/zero; echo x > /dev/null && echo ok"], edit: (spec) => {
      spec.linux.namespaces.push({ type: "user" });
      spec.linux.uidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
      spec.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    } });
    expect(await c.mustRun()).toBe("character special file 1:3\ncharacter special file 1:5\nok\n");
  });
});

describeRuntime("root file system: masked and read-only", ({ test, make }) => {
  test("masked files read empty, masked directories are empty and read-only, missing ones are no error", async () => {
    await using c = make({ args: ["sh", "-c", "cat /secret | wc -c; ls -a /hidden | wc -l; touch /hidden/x; echo x > /secret; cat /secret | wc -c"], edit: (spec, bundle) => {
      bundle.file("secret", "top secret");
      bundle.file("hidden/inside", "");
      spec.linux.maskedPaths = ["/secret", "/hidden", "/no/such/path"];
    } });
    const result = await c.run();
    expect(result.stdout).toBe("0\n2\n0\n");
    expect(result.stderr).toMatch(/Read-only file system/);
    expect(c.bundle.read("secret")).toBe("top secret");
  });

  test("a masked file is the real /dev/null, not what the container's image calls so", async () => {
    await using c = make({ args: ["stat", "-c", "%F %t:%T", "/secret"], edit: (spec, bundle) => {
      bundle.file("secret", "top secret");
      spec.mounts = spec.mounts.filter(({ destination }) => !destination.startsWith("/dev"));
      spec.linux.maskedPaths = ["/secret"];
    } });
    expect(await c.mustRun()).toBe("character special file 1:3\n");
  });

  test("read-only paths refuse writing, below too; missing ones are no error", async () => {
    await using c = make({ args: ["sh", "-c", "echo x > /keep/f; mkdir /keep/d; echo x > /proc/sys/kernel/msgmax; cat /keep/f"], edit: (spec, bundle) => {
      bundle.file("keep/f", "kept\n");
      spec.linux.readonlyPaths = ["/keep", "/proc/sys", "/no/such"];
    } });
    const result = await c.run();
    expect(result.stdout).toBe("kept\n");
    expect(result.stderr.match(/Read-only file system/g)).toHaveLength(3);
    expect(c.bundle.read("keep/f")).toBe("kept\n");
  });

  test("read-only paths keep the flags of the mount they are on", async () => {
    await using c = make({ args: ["/probe"], edit: (spec) => {
      spec.mounts.push({ destination: "/t", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "noexec"] });
      spec.linux.readonlyPaths = ["/t"];
    } });
    expect(mountAt((await c.probe()).mountinfo!, "/t").options).toEqual(expect.arrayContaining(["ro", "nosuid", "nodev", "noexec"]));
  });

  test("root.readonly: the root cannot be written, a mount on it can", async () => {
    await using c = make({ args: ["sh", "-c", "touch /x; touch /dev/shm/x && echo mounted"], edit: (spec) => { spec.root.readonly = true; } });
    const result = await c.run();
    expect(result.stdout).toBe("mounted\n");
    expect(result.stderr).toMatch(/Read-only file system/);
    expect(existsSync(`${c.rootfs}/x`)).toBe(false);
  });

  test("root.readonly: mount points that are missing are still made", async () => {
    await using c = make({ args: ["stat", "-c", "%F", "/new/point"], edit: (spec) => {
      spec.root.readonly = true;
      spec.mounts.push({ destination: "/new/point", type: "tmpfs", source: "tmpfs" });
    } });
    expect(await c.mustRun()).toBe("directory\n");
  });

  test("root.path may be absolute", async () => {
    await using c = make({ args: ["cat", "/etc/hostname"], edit: (spec, bundle) => { spec.root.path = bundle.rootfs; } });
    expect(await c.mustRun()).toBe("rootfs\n");
  });

  test("--no-pivot runs on a root that cannot be pivoted", async () => {
    await using c = make({ args: ["sh", "-c", "cat /etc/hostname; ls / | wc -l"] });
    const text = await c.mustRun({ flags: ["--no-pivot"] });
    expect(text).toBe(`rootfs\n${readdirSync(c.rootfs).length}\n`);
  });
});

/** A directory of the host that a link in the root file system aims at; nothing may appear in it. */
const bait = (dir: string) => {
  mkdirSync(dir, { recursive: true });
  writeFileSync(`${dir}/untouched`, "untouched\n");
  return dir;
};

describeRuntime("root file system: symbolic links that lead out", ({ test, make }) => {
  for (const style of ["absolute", "relative"] as const) {
    test(`a destination through an ${style} link stays inside the root`, async () => {
      await using c = make({ args: ["sh", "-c", "cat /proc/self/mountinfo | cut -d' ' -f5 | grep inner; ls /link/inner"], edit: (spec, bundle) => {
        const target = bait(bundle.path("bait"));
        symlinkSync(style === "absolute" ? target : "../../../../../../../../../.." + target, `${bundle.rootfs}/link`);
        spec.mounts.push({ destination: "/link/inner", type: "tmpfs", source: "tmpfs" });
      } });
      expect(await c.mustRun()).toBe(`${c.bundle.path("bait")}/inner\n`);
      expect(readdirSync(c.bundle.path("bait"))).toEqual(["untouched"]);
    });
  }

  test("a destination that is itself a link is followed inside the root, for a file too", async () => {
    await using c = make({ args: ["sh", "-c", "cat /etc/resolv.conf; ls -l /etc/resolv.conf | grep -c run/resolv"], edit: (spec, bundle) => {
      bait(bundle.path("bait"));
      symlinkSync("../../../../../../../../run/resolv.conf", `${bundle.rootfs}/etc/resolv.conf`);
      writeFileSync(bundle.path("resolv"), "nameserver\n");
      spec.mounts.push({ destination: "/etc/resolv.conf", type: "bind", source: "resolv", options: ["bind"] });
    } });
    expect(await c.mustRun()).toBe("nameserver\n1\n");
    expect(existsSync(`${c.rootfs}/run/resolv.conf`)).toBe(true);
  });

  test("a link chain that passes the root several times stays inside", async () => {
    await using c = make({ args: ["sh", "-c", "ls /a/m"], edit: (spec, bundle) => {
      symlinkSync("/b/../../c", `${bundle.rootfs}/a`);
      symlinkSync("../../../d", `${bundle.rootfs}/b`);
      mkdirSync(`${bundle.rootfs}/d`);
      mkdirSync(`${bundle.rootfs}/c`);
      spec.mounts.push({ destination: "/a/m", type: "tmpfs", source: "tmpfs" });
    } });
    expect((await c.run()).code).toBe(0);
    expect(readdirSync(`${c.rootfs}/c`)).toEqual(["m"]);
  });

  test("a destination with dot-dot stays inside the root", async () => {
    await using c = make({ args: ["sh", "-c", "cut -d' ' -f5 /proc/self/mountinfo | grep dots"], edit: (spec) => {
      spec.mounts.push({ destination: "/mnt/../../../../dots", type: "tmpfs", source: "tmpfs" });
    } });
    expect(await c.mustRun()).toBe("/dots\n");
  });

  for (const name of ["proc", "sys"]) {
    test(`/${name} as a link is not followed for the ${name} file system`, async () => {
      await using c = make({ edit: (_spec, bundle) => {
        rmdirSync(`${bundle.rootfs}/${name}`);
        mkdirSync(`${bundle.rootfs}/elsewhere`);
        symlinkSync("elsewhere", `${bundle.rootfs}/${name}`);
      } });
      const result = await c.create();
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(new RegExp(`/${name}\\b`));
      await c.expectNothingLeft();
    });
  }

  test("/dev as a link does not make devices outside the root", async () => {
    await using c = make({ args: ["true"], edit: (_spec, bundle) => {
      rmdirSync(`${bundle.rootfs}/dev`);
      symlinkSync("../../../../../../../../" + bait(bundle.path("bait")), `${bundle.rootfs}/dev`);
    } });
    await c.run();
    expect(readdirSync(c.bundle.path("bait"))).toEqual(["untouched"]);
    await c.expectNothingLeft();
  });

  test("linux.devices through a link does not make a node outside the root", async () => {
    await using c = make({ args: ["true"], edit: (spec, bundle) => {
      symlinkSync(bait(bundle.path("bait")), `${bundle.rootfs}/escape`);
      spec.linux.devices = [{ path: "/escape/node", type: "c", major: 1, minor: 3, fileMode: 0o666 }];
    } });
    await c.run();
    expect(readdirSync(c.bundle.path("bait"))).toEqual(["untouched"]);
    await c.expectNothingLeft();
  });

  test("cwd through a link does not make or enter a directory outside the root", async () => {
    await using c = make({ args: ["pwd"], edit: (spec, bundle) => {
      symlinkSync(bait(bundle.path("bait")), `${bundle.rootfs}/escape`);
      spec.process!.cwd = "/escape/made";
    } });
    const result = await c.run();
    if (result.code === 0) expect(result.stdout).toBe(`${c.bundle.path("bait")}/made\n`);
    expect(readdirSync(c.bundle.path("bait"))).toEqual(["untouched"]);
  });

  test("masked and read-only paths through a link stay inside the root", async () => {
    await using c = make({ args: ["sh", "-c", "cat /etc/secret | wc -c"], edit: (spec, bundle) => {
      bait(bundle.path("bait"));
      bundle.file("real-secret", "secret");
      symlinkSync("../../../../../../real-secret", `${bundle.rootfs}/etc/secret`);
      symlinkSync(bundle.path("bait"), `${bundle.rootfs}/keep`);
      spec.linux.maskedPaths = ["/etc/secret"];
      spec.linux.readonlyPaths = ["/keep"];
    } });
    expect(await c.mustRun()).toBe("0\n");
    writeFileSync(c.bundle.path("bait", "untouched"), "the host may still write\n");
  });

  test("tmpcopyup from a link copies nothing of the host", async () => {
    await using c = make({ args: ["sh", "-c", "ls /data | wc -l"], edit: (spec, bundle) => {
      symlinkSync("../../../../../../../.." + bait(bundle.path("bait")), `${bundle.rootfs}/data`);
      spec.mounts.push({ destination: "/data", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] });
    } });
    const result = await c.run();
    if (result.code === 0) expect(result.stdout).toBe("0\n");
  });

  test("a root.path that is a link is resolved on the host, once", async () => {
    await using c = make({ args: ["cat", "/etc/hostname"], edit: (spec) => { spec.root.path = "alias"; } });
    symlinkSync("rootfs", c.bundle.path("alias"));
    const result = await c.run();
    if (result.code === 0) expect(result.stdout).toBe("rootfs\n");
    else expect(result.stderr).toMatch(/root/);
    expect(readlinkSync(c.bundle.path("alias"))).toBe("rootfs");
    expect(lstatSync(c.rootfs).isDirectory()).toBe(true);
  });
});
