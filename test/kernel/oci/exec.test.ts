import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { cgroupFile } from "../../support/cgroup.ts";
import { ignoreGone, isAlive, namespaceOf } from "../../support/host.ts";
import { capabilitySet, parseProbe } from "../../support/probe.ts";
import { until } from "../../support/until.ts";

describeRuntime("exec: what runs", ({ test, make }) => {
  test("the command line runs in every namespace of the container, with its environment and directory", async () => {
    await using c = make({ args: ["sleep", "100"], edit: (spec) => {
      spec.process!.env.push("FROM=config");
      spec.process!.cwd = "/tmp";
      spec.linux.namespaces.push({ type: "cgroup" });
    } });
    await c.mustBegin();
    const probe = parseProbe(await c.mustExec(["/probe", "a", "--b"]));
    expect(probe.argv).toEqual(["/probe", "a", "--b"]);
    expect(probe.cwd).toBe("/tmp");
    expect(probe.env).toEqual(expect.arrayContaining(["PATH=/bin", "FROM=config", "HOME=/root"]));
    for (const kind of ["mnt", "pid", "net", "ipc", "uts", "cgroup"] as const) expect(probe.ns[kind], kind).toBe(namespaceOf(c.pid, kind));
  });

  test("it sits in the container's cgroups and is numbered in its pid namespace, with a parent outside", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const probe = parseProbe(await c.mustExec(["/probe"]));
    expect(probe.cgroup).toMatch(new RegExp(`:memory:.*/${c.id}$`, "m"));
    expect(probe.cgroup).toMatch(new RegExp(`:pids:.*/${c.id}$`, "m"));
    expect(probe.pid).toBeGreaterThan(1);
    expect(probe).toMatchObject({ ppid: 0, pgid: probe.pid, sid: probe.pid, noNewPrivs: 1 });
  });

  test("--cwd, --env, --user, --additional-gids", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const probe = parseProbe(await c.mustExec(["/probe"], { flags: ["--cwd", "/etc", "--env", "A=1", "--env=B=2", "--user", "1000:1234", "--additional-gids", "7", "--additional-gids", "8"] }));
    expect(probe).toMatchObject({ cwd: "/etc", uid: [1000, 1000, 1000, 1000], gid: [1234, 1234, 1234, 1234] });
    expect(probe.groups.sort()).toEqual([7, 8]);
    expect(probe.env).toEqual(expect.arrayContaining(["A=1", "B=2"]));
  });

  test("--user with a uid alone keeps the configured group", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    expect(parseProbe(await c.mustExec(["/probe"], { flags: ["-u", "1000"] }))).toMatchObject({ uid: [1000, 1000, 1000, 1000], gid: [0, 0, 0, 0] });
  });

  test("--cap adds capabilities, --no-new-privs sets the bit", async () => {
    await using c = make({ args: ["sleep", "100"], edit: (spec) => { spec.process!.noNewPrivileges = false; } });
    await c.mustBegin();
    const probe = parseProbe(await c.mustExec(["/probe"], { flags: ["--cap", "CAP_SYS_CHROOT", "--no-new-privs"] }));
    expect(capabilitySet(probe.caps.effective)).toContain("CAP_SYS_CHROOT");
    expect(probe.noNewPrivs).toBe(1);
    const plain = parseProbe(await c.mustExec(["/probe"]));
    expect(capabilitySet(plain.caps.effective)).not.toContain("CAP_SYS_CHROOT");
    expect(plain.noNewPrivs).toBe(0);
  });

  test("--process takes everything from the document and nothing from the container's own", async () => {
    await using c = make({ args: ["sleep", "100"], edit: (spec) => { spec.process!.env.push("FROM=config"); } });
    await c.mustBegin();
    const probe = parseProbe(await c.mustExec([], { process: {
      args: ["/probe", "x"], cwd: "/tmp", env: ["ONLY=this", "HOME=/h"], user: { uid: 5, gid: 6, additionalGids: [9] },
      capabilities: { bounding: ["CAP_KILL"] }, rlimits: [{ type: "RLIMIT_NOFILE", soft: 33, hard: 44 }], noNewPrivileges: true, oomScoreAdj: 555,
    } }));
    expect(probe).toMatchObject({ argv: ["/probe", "x"], cwd: "/tmp", uid: [5, 5, 5, 5], gid: [6, 6, 6, 6], groups: [9], noNewPrivs: 1 });
    expect(probe.env.sort()).toEqual(["HOME=/h", "ONLY=this"]);
    expect(capabilitySet(probe.caps.bounding)).toEqual(["CAP_KILL"]);
    expect(probe.rlimits["RLIMIT_NOFILE"]).toEqual([33, 44]);
  });

  test("--process: umask and oomScoreAdj are applied", { cannot: { "runc 1": "ignores them" } }, async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const user = { uid: 0, gid: 0, umask: 0o077 };
    expect(parseProbe(await c.mustExec([], { process: { args: ["/probe"], user, oomScoreAdj: 555 } }))).toMatchObject({ oomScoreAdj: "555\n", umask: 0o077 });
  });

  test("standard streams are the caller's", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    expect(await c.exec(["sh", "-c", "cat; echo err >&2"], { input: "in\n" })).toMatchObject({ code: 0, stdout: "in\n", stderr: "err\n" });
  });

  test("a seccomp filter of the container holds for exec", async () => {
    await using c = make({ args: ["sleep", "100"], edit: (spec) => {
      spec.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64"], syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 111 }] };
    } });
    await c.mustBegin();
    expect(await c.mustExec(["/tool", "syscall", "83", "s:/x", "0755"])).toBe("errno 111 ECONNREFUSED\n");
  });

  test("exec works while the container is only created", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustCreate();
    expect(await c.mustExec(["echo", "early"])).toBe("early\n");
    expect(await c.status()).toBe("created");
    await c.mustStart();
    expect(await c.status()).toBe("running");
  });

  test("exec in a paused container is refused", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    await c.mustCommand("pause");
    const result = await c.exec(["true"]);
    expect(result.code).not.toBe(0);
    expect(result.stderr).toMatch(/paused/);
    await c.mustCommand("resume");
    expect((await c.exec(["true"])).code).toBe(0);
  });

  test("exec --ignore-paused waits until the container is resumed", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    await c.mustCommand("pause");
    const call = c.startExec(["echo", "late"], { flags: ["--ignore-paused"] });
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(call.stdout).toBe("");
    await c.mustCommand("resume");
    expect(await call.result()).toMatchObject({ code: 0, stdout: "late\n" });
  });

  test("exec of a stopped container fails", async () => {
    await using c = make();
    await c.mustBegin();
    await c.exitStatus();
    const result = await c.exec(["true"]);
    expect(result.code).not.toBe(0);
    expect(result.stderr).toMatch(/stopped|not running/);
  });

  test("exec sees the mounts made since, as the container does, and its limits stay the container's", async () => {
    await using c = make({ args: ["sh", "-c", "mount -t tmpfs x /mnt && touch /mnt/inside && echo up && exec sleep 100"], edit: (spec) => {
      const caps = ["CAP_SYS_ADMIN"];
      spec.process!.capabilities = { bounding: caps, effective: caps, permitted: caps };
    } });
    await c.mustBegin();
    await c.outputMatching(/up/);
    expect(await c.mustExec(["ls", "/mnt"])).toBe("inside\n");
  });
});

describeRuntime("exec: exit codes and errors", ({ test, make }) => {
  test("the command's own code is passed on, 128 and the signal's number if it was killed", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    for (const code of [0, 1, 42, 255]) expect((await c.exec(["sh", "-c", `exit ${code}`])).code).toBe(code);
    expect((await c.exec(["sh", "-c", "kill -KILL $$"])).code).toBe(137);
    expect((await c.exec(["sh", "-c", "kill -TERM $$"])).code).toBe(143);
  });

  const failures: [string, readonly string[], RegExp][] = [
    ["a name that PATH does not have", ["nosuch"], /executable file not found in/],
    ["a path that does not exist", ["/no/such"], /no such file or directory/],
    ["a file that may not be executed", ["/etc/passwd"], /permission denied/],
  ];
  for (const [what, args, words] of failures) {
    test(`${what} ends with 255 and the words that engines look for, in one line`, async () => {
      await using c = make({ args: ["sleep", "100"] });
      await c.mustBegin();
      const result = await c.exec(args, { flags: ["--pid-file", c.bundle.path("exec.pid")] });
      expect(result.code).toBe(255);
      expect(result.stderr).toMatch(words);
      expect(result.stderr.trimEnd()).not.toContain("\n");
      expect(existsSync(c.bundle.path("exec.pid"))).toBe(false);
      expect(await c.status()).toBe("running");
      expect(cgroupFile(c.id, "pids", "cgroup.procs").split("\n")).toEqual([String(c.pid)]);
    });
  }

  for (const [what, text] of [["malformed", "{"], ["empty", ""], ["without args", '{"cwd":"/"}']] as const) {
    test(`a process document that is ${what} ends with 255 or 1 and one line`, async () => {
      await using c = make({ args: ["sleep", "100"] });
      await c.mustBegin();
      writeFileSync(c.bundle.path("bad.json"), text);
      const result = await c.command("exec", [], { flags: ["--process", c.bundle.path("bad.json")] });
      expect([1, 255]).toContain(result.code);
      expect(result.stderr.trim()).not.toBe("");
      expect(result.stderr).not.toMatch(/^\s+at /m);
    });
  }

  test("a capability that the kernel does not have is a warning, by --cap and in a process document", { cannot: { "runc 1": "says nothing" } }, async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const document = await c.exec([], { process: { args: ["true"], capabilities: { bounding: ["CAP_NO_SUCH"] } } });
    const flag = await c.exec(["true"], { flags: ["--cap", "CAP_NO_SUCH"] });
    for (const result of [document, flag]) expect(result).toMatchObject({ code: 0, stderr: expect.stringMatching(/CAP_NO_SUCH/) as string });
  });

  const badFlags: [readonly string[], RegExp][] = [
    [["--user", "guest"], /--user: "guest"/], [["--user", "1:x"], /--user: "x"/], [["--additional-gids", "x"], /--additional-gids: "x"/], [["--env", "NOTHING"], /env/],
    [["--cwd", "relative"], /cwd/], [["--preserve-fds", "many"], /preserve-fds/], [["--nosuch"], /nosuch/],
  ];
  for (const [flags, words] of badFlags) {
    test(`exec ${flags.join(" ")} is refused and named`, { cannot: { "runc 1": "takes some of them" } }, async () => {
      await using c = make({ args: ["sleep", "100"] });
      await c.mustBegin();
      const result = await c.exec(["true"], { flags });
      expect([1, 255]).toContain(result.code);
      expect(result.stderr).toMatch(words);
    });
  }

  test("exec of a plain command in a container with a terminal says nothing", async () => {
    await using c = make({ args: ["sleep", "100"], edit: (spec) => { spec.process!.consoleSize = { height: 10, width: 20 }; } });
    await c.mustBegin();
    expect(await c.exec(["true"])).toMatchObject({ code: 0, stdout: "", stderr: "" });
  });

  test("exec without a command fails", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    expect((await c.exec([])).code).not.toBe(0);
  });

  test("a cwd that does not exist is made or refused inside the container, never outside", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const result = await c.exec(["pwd"], { flags: ["--cwd", "/fresh/dir"] });
    if (result.code === 0) expect(result.stdout).toBe("/fresh/dir\n");
    expect(existsSync("/fresh")).toBe(false);
  });
});

describeRuntime("exec: detached", ({ test, make }) => {
  test("returns while the command runs; the pid file holds its host pid, whose wait status the caller gets", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const pidFile = c.bundle.path("exec.pid");
    const result = await c.exec([], { input: "pipe", flags: ["--detach", "--pid-file", pidFile], process: { args: ["sh", "-c", "read go; exit 9"] } });
    expect(result.code, result.stderr).toBe(0);
    const text = readFileSync(pidFile, "utf8");
    expect(text).toMatch(/^[1-9]\d*$/);
    expect(isAlive(Number(text))).toBe(true);
    expect(cgroupFile(c.id, "memory", "cgroup.procs").split("\n")).toContain(text);
    result.call.stdin?.end("go\n");
    expect((await result.call.orphans).get(Number(text))).toEqual({ code: 9, signal: null });
  });

  test("only the command itself is left, no process of the runtime", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    await c.exec(["sleep", "101"], { flags: ["--detach"] });
    const members = () => cgroupFile(c.id, "pids", "cgroup.procs").split("\n").map((pid) => (ignoreGone(() => readFileSync(`/proc/${pid}/cmdline`, "utf8")) ?? "gone").replaceAll("\0", " ").trim()).sort().join();
    await until("the two commands alone", () => members() === "sleep 100,sleep 101");
  });

  test("a detached command ends with the container", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const result = await c.exec(["sleep", "101"], { flags: ["--detach", "--pid-file", c.bundle.path("exec.pid")] });
    const pid = Number(readFileSync(c.bundle.path("exec.pid"), "utf8"));
    await c.kill("KILL");
    await until("the exec to end", () => !isAlive(pid));
    expect((await result.call.orphans).get(pid)).toEqual({ code: null, signal: 9 });
  });

  test("signals to a foreground exec reach the command", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const call = c.startExec(["/tool", "signals"]);
    await until("ready", () => call.stdout.includes("ready"));
    process.kill(await call.pid, "SIGTERM");
    await until("the signal", () => call.stdout.includes("signal 15\n"));
    process.kill(await call.pid, "SIGUSR2");
    expect((await call.result()).code).toBe(0);
  });

  test("many execs at once do not disturb each other", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const results = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => c.exec(["sh", "-c", `echo ${n}; exit ${n}`])));
    expect(results.map(({ code, stdout }) => [code, stdout])).toEqual([1, 2, 3, 4, 5, 6].map((n) => [n, `${n}\n`]));
  });
});
