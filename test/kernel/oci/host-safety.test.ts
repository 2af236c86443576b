import { createHash } from "node:crypto";
import { existsSync, linkSync, readFileSync, readdirSync, readlinkSync, renameSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { isAlive, systemMounts } from "../../support/host.ts";
import { projectRoot } from "../../support/paths.ts";
import { mountAt } from "../../support/probe.ts";
import { runRuntime } from "../../support/runtime.ts";
import type { Spec } from "../../support/spec.ts";
import { until } from "../../support/until.ts";

const hash = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");
const allPowers = (spec: Spec) => {
  const caps = ["CAP_DAC_OVERRIDE", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_CHOWN"];
  spec.process!.capabilities = { bounding: caps, effective: caps, permitted: caps };
};

/** The files that the runtime under test executes: the named one, and for a script of ours its Node and its bundle. */
function ownPrograms(path: string): string[] {
  const isScript = readFileSync(path).subarray(0, 2).toString() === "#!";
  return isScript ? [path, readlinkSync("/proc/self/exe"), join(projectRoot, "dist/tssandbox.cjs")] : [path];
}

describeRuntime("host safety: the runtime's own binary (CVE-2019-5736)", ({ test, make, runtime }) => {
  /** Tries to write through /proc/PID/exe of every process that appears in the container. */
  const attack = 'i=0; while [ $i -lt 400 ]; do for p in /proc/[0-9]*; do [ $p = /proc/1 ] || { : > /dev/null; /tool overwrite $p/exe 0 2>/dev/null; } ; done; i=$((i+1)); done | grep -v "opened=0" | head -3';

  test("a container whose program is /proc/self/exe does not get to run or write the runtime", async () => {
    const before = ownPrograms(runtime.path).map(hash);
    for (const kind of ["symlink", "script"]) {
      await using c = make({ args: ["/entry"], edit: (spec, bundle) => {
        allPowers(spec);
        if (kind === "symlink") symlinkSync("/proc/self/exe", `${bundle.rootfs}/entry`);
        else bundle.file("entry", "#!/proc/self/exe\n", 0o755);
      } });
      await c.run({ timeout: 5000 }).catch(() => {});
    }
    expect(ownPrograms(runtime.path).map(hash)).toEqual(before);
  });

  test("an exec whose program is /proc/self/exe leaves the runtime's files as they are while the container tries to write them", async () => {
    const before = ownPrograms(runtime.path).map(hash);
    await using c = make({ args: ["sh", "-c", `echo up; ${attack}; echo done; sleep 100`], edit: (spec, bundle) => {
      allPowers(spec);
      symlinkSync("/proc/self/exe", `${bundle.rootfs}/self`);
      bundle.file("script", "#!/proc/self/exe\n", 0o755);
    } });
    await c.mustBegin();
    await c.outputMatching(/up/);
    for (const program of ["/self", "/script", "/self", "/script"]) await c.exec([program], { timeout: 3000 }).catch(() => {});
    await c.kill("KILL");
    expect(ownPrograms(runtime.path).map(hash)).toEqual(before);
    expect(c.stdout).not.toMatch(/opened=1/);
  });

  test("the waiting init of a created container does not show a file that a container could write", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustCreate();
    const shown = statSync(`/proc/${c.pid}/exe`);
    for (const path of ownPrograms(runtime.path)) {
      const own = statSync(path);
      const same = shown.dev === own.dev && shown.ino === own.ino;
      if (same) expect(await writableThroughProc(c.pid), path).toBe(false);
    }
  });
});

/** Whether /proc/PID/exe can be opened for writing: a sealed memfd, a read-only overlay or mount, cannot; a running file is busy. */
async function writableThroughProc(pid: number): Promise<boolean> {
  const result = await runRuntime(["sh", "-c", `: >> /proc/${pid}/exe`]);
  return result.code === 0;
}

describeRuntime("host safety: descriptors and directories (CVE-2024-21626)", ({ test, make }) => {
  for (const cwd of [3, 4, 5, 6, 7, 8, 9, 10, 15, 20].map((fd) => `/proc/self/fd/${fd}`)) {
    test(`cwd ${cwd} does not lead to the host`, async () => {
      await using c = make({ args: ["/tool", "cwdescape"], edit: (spec) => { spec.process!.cwd = cwd; } });
      const result = await c.run();
      if (result.code === 0) expect(result.stdout).toBe("contained\n");
      else expect(result.stderr).not.toBe("");
    });
  }

  test("exec with such a cwd does not lead to the host", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    for (const fd of [3, 5, 6, 7, 8, 9, 10, 12]) {
      const result = await c.exec(["/tool", "cwdescape"], { flags: ["--cwd", `/proc/self/fd/${fd}`] });
      if (result.code === 0) expect(result.stdout, String(fd)).toBe("contained\n");
    }
  });

  test("a link in the image that leads to a descriptor of the runtime does not help", async () => {
    for (const fd of [3, 6, 7, 8, 9]) {
      await using c = make({ args: ["/tool", "cwdescape"], edit: (spec, bundle) => {
        symlinkSync(`/proc/self/fd/${fd}`, `${bundle.rootfs}/trap`);
        spec.process!.cwd = "/trap";
      } });
      const result = await c.run();
      if (result.code === 0) expect(result.stdout, String(fd)).toBe("contained\n");
    }
  });

  test("a program path through a descriptor of the runtime does not run a host file", async () => {
    await using c = make({ args: ["/proc/self/fd/7/../../../../../../bin/true"] });
    expect((await c.run()).code).not.toBe(0);
    await c.expectNothingLeft();
  });

  test("the process starts in no directory of the host", async () => {
    await using c = make({ args: ["/tool", "cwdescape"] });
    expect(await c.mustRun()).toBe("contained\n");
    await using d = make({ args: ["sleep", "100"] });
    await d.mustBegin();
    expect(await d.mustExec(["/tool", "cwdescape"])).toBe("contained\n");
  });
});

describeRuntime("host safety: a process that is not yet the container's (CVE-2016-9962)", ({ test, make }) => {
  test("the waiting init cannot be traced by a process with the container's rights", async () => {
    await using c = make({ args: ["sleep", "100"], edit: (spec) => {
      spec.linux.namespaces.push({ type: "user" });
      spec.linux.uidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
      spec.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    } });
    await c.mustCreate();
    // proc(5): files of a process that is not dumpable belong to root, whatever its user is.
    expect(statSync(`/proc/${c.pid}/environ`).uid).toBe(0);
    await c.mustStart();
    await until("the exec", () => readFileSync(`/proc/${c.pid}/comm`, "utf8") === "sleep\n");
    expect(statSync(`/proc/${c.pid}/environ`).uid).toBe(100_000);
  });

  /**
   * Looks at every other process without pause. A runtime may pass through a sealed memfd that does nothing but execute the command
   * (execve makes a process dumpable again), if by then it holds nothing: no descriptor above standard error.
   */
  const watch = `echo up; while [ ! -e /tmp/stop ]; do for p in /proc/[0-9]*; do
    [ $p = /proc/1 ] && continue
    e=$(readlink $p/exe 2>/dev/null) || continue
    case $e in
      /bin/busybox|'') ;;
      /memfd:*) for f in $p/fd/*; do n=\${f##*/}; [ "$n" = '*' ] || [ $n -le 2 ] || echo "leak $e descriptor $n"; done ;;
      *) echo "leak $e" ;;
    esac
  done; done`;

  test("from inside, a joining exec cannot be looked into before it is the command", async () => {
    await using c = make({ args: ["sh", "-c", watch] });
    await c.mustBegin();
    await c.outputMatching(/up/);
    for (let i = 0; i < 8; i++) await c.mustExec(["true"]);
    c.bundle.file("tmp/stop", "");
    await c.exitStatus();
    expect(c.stdout).toBe("up\n");
  });
});

describeRuntime("host safety: paths that change under the runtime", ({ test, make }) => {
  test("masked paths: /dev/null is looked at, not trusted (CVE-2025-31133)", async () => {
    await using c = make({ args: ["sh", "-c", "cat /secret"], edit: (spec, bundle) => {
      bundle.file("secret", "masked\n");
      // An image whose /dev/null is a link to another file, with no /dev mount over it.
      spec.mounts = spec.mounts.filter(({ destination }) => !destination.startsWith("/dev"));
      bundle.file("target", "bound in its place\n");
      symlinkSync("/target", `${bundle.rootfs}/dev/null`);
      spec.linux.maskedPaths = ["/secret"];
    } });
    const result = await c.run();
    if (result.code === 0) expect(result.stdout).toBe("");
    expect(result.stdout).not.toMatch(/masked|bound/);
  });

  test("a mount destination that another process keeps swapping for a link never leads outside (CVE-2021-30465)", async () => {
    await using c = make({ args: ["true"], edit: (spec, bundle) => {
      bundle.file("../bait/untouched", "");
      bundle.file("real/keep", "");
      symlinkSync("../../../../../../../../.." + bundle.path("bait"), `${bundle.rootfs}/fake`);
      symlinkSync("real", `${bundle.rootfs}/swapped`);
      spec.mounts.push({ destination: "/swapped/point", type: "tmpfs", source: "tmpfs" });
    } });
    let round = 0;
    const swap = setInterval(() => {
      for (let i = 0; i < 50; i++) {
        const fresh = `${c.rootfs}/.fresh-${round++}`;
        symlinkSync(round % 2 === 0 ? "real" : "fake", fresh);
        renameSync(fresh, `${c.rootfs}/swapped`);
      }
    }, 1);
    for (let i = 0; i < 5; i++) await c.run();
    clearInterval(swap);
    expect(readdirSync(c.bundle.path("bait"))).toEqual(["untouched"]);
    await c.expectNothingLeft();
  });

  test("sysctls and labels are written to the real procfs: an image cannot offer another one (CVE-2019-16884)", async () => {
    await using c = make({ args: ["cat", "/proc/sys/kernel/msgmax"], edit: (spec, bundle) => {
      bundle.file("proc/sys/kernel/msgmax", "fake\n");
      bundle.file("proc/self/attr/exec", "");
      spec.linux.sysctl = { "kernel.msgmax": "12321" };
    } });
    const result = await c.run();
    if (result.code === 0) expect(result.stdout).toBe("12321\n");
    expect(c.bundle.read("proc/sys/kernel/msgmax")).toBe("fake\n");
  });

  test("a mount over /proc is refused, or sysctls do not go into it", async () => {
    await using c = make({ edit: (spec) => {
      spec.mounts.push({ destination: "/proc", type: "tmpfs", source: "tmpfs" });
    } });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/proc/);
    await c.expectNothingLeft();
  });

  test("a bind over a file of /proc/self or /proc/sys is refused", async () => {
    await using c = make({ edit: (spec, bundle) => {
      bundle.file("../fake", "");
      spec.mounts.push({ destination: "/proc/self/attr/exec", type: "bind", source: "fake", options: ["bind"] });
    } });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/proc/);
    await c.expectNothingLeft();
  });

  test("hard links in the image do not carry a mount outside", async () => {
    await using c = make({ args: ["cat", "/linked"], edit: (spec, bundle) => {
      bundle.file("../outside", "outside\n");
      linkSync(bundle.path("outside"), `${bundle.rootfs}/linked`);
      writeFileSync(bundle.path("cover"), "cover\n");
      spec.mounts.push({ destination: "/linked", type: "bind", source: "cover", options: ["bind"] });
    } });
    expect(await c.mustRun()).toBe("cover\n");
    expect(readFileSync(c.bundle.path("outside"), "utf8")).toBe("outside\n");
  });

  test("the host's mount table is the same before, during and after", async () => {
    const before = systemMounts();
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    expect(systemMounts()).toEqual(before);
    await c.delete("--force");
    expect(systemMounts()).toEqual(before);
  });

  test("the old root is gone: no mount of the container has the host's root device below /", async () => {
    await using c = make({ args: ["/probe"] });
    const { mountinfo } = await c.probe();
    expect(mountAt(mountinfo!, "/").root).toBe(c.rootfs.replace("/dev/shm", ""));
    expect(mountinfo).not.toMatch(/put_old|oldroot|\.pivot/);
  });
});

describeRuntime("host safety: a runtime that dies", ({ test, make }) => {
  for (const [what, delay] of [["early", 2], ["in the middle", 15], ["late", 40]] as const) {
    test(`SIGKILL of create (${what}): delete --force leaves nothing`, { races: { "runc 1": "leaves cgroups of a create that died before its state file" } }, async () => {
      await using c = make({ args: ["sleep", "1000"] });
      const call = c.call("create", [c.id], { flags: ["--bundle", c.bundle.dir, "--pid-file", c.pidFile] });
      const pid = await call.pid;
      await new Promise((resolve) => setTimeout(resolve, delay));
      if (isAlive(pid)) process.kill(pid, "SIGKILL");
      await call.result();
      const result = await c.delete("--force");
      expect(result.code, result.stderr).toBe(0);
      await c.expectNothingLeft();
    });
  }

  test("SIGKILL of a foreground run: the container can still be deleted", async () => {
    await using c = make({ args: ["sleep", "1000"] });
    const call = c.startRun();
    await until("running", async () => (await c.status()) === "running");
    process.kill(await call.pid, "SIGKILL");
    await call.result();
    expect((await c.delete("--force")).code).toBe(0);
    await c.expectNothingLeft();
    expect(existsSync(c.bundle.dir)).toBe(true);
  });
});
