import { chownSync, closeSync, existsSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import type { Probe } from "../../support/probe.ts";
import type { Process, Spec } from "../../support/spec.ts";
import { until } from "../../support/until.ts";

/** A spec editor that merges fields into `process`. */
const processWith = (fields: Partial<Process>) => (spec: Spec) => {
  Object.assign(spec.process!, fields);
};
const oldRunc = { cannot: { "runc 1.1": "the field is newer" } };

describeRuntime("process: command, environment, directory", ({ test, make }) => {
  test("args reach the program unchanged", async () => {
    const args = ["/probe", "", "a b", "\"q'", "é\n", "$HOME"];
    await using c = make({ args });
    expect((await c.probe()).argv).toEqual(args);
  });

  test("the environment is the configured one; HOME comes from the container's passwd if it is missing", async () => {
    await using c = make({ args: ["/probe"], edit: processWith({ env: ["PATH=/bin", "A=1=2", "EMPTY="], user: { uid: 1000, gid: 1000 } }) });
    const probe = await c.probe({ env: { LEAK: "host", NODE_OPTIONS: "--no-warnings" } });
    expect(probe.env.sort()).toEqual(["A=1=2", "EMPTY=", "HOME=/home", "PATH=/bin"]);
  });

  test("a configured HOME is kept", async () => {
    await using c = make({ args: ["/probe"], edit: processWith({ env: ["HOME=/x"] }) });
    expect((await c.probe()).env).toEqual(["HOME=/x"]);
  });

  test("of a repeated variable the last one counts", async () => {
    await using c = make({ args: ["sh", "-c", "echo $A"], edit: processWith({ env: ["PATH=/bin", "A=1", "A=2"] }) });
    expect(await c.mustRun()).toBe("2\n");
  });

  test("the program is looked up in the container's PATH", async () => {
    await using c = make({ args: ["only-here"], edit: (spec, bundle) => {
      spec.process!.env = ["PATH=/nowhere:/opt/tools:/bin"];
      bundle.file("opt/tools/only-here", "#!/bin/sh\necho found $0\n", 0o755);
    } });
    expect(await c.mustRun()).toBe("found /opt/tools/only-here\n");
  });

  test("a program with a slash counts from cwd", async () => {
    await using c = make({ args: ["./here"], edit: (spec, bundle) => {
      spec.process!.cwd = "/opt";
      bundle.file("opt/here", "#!/bin/sh\npwd\n", 0o755);
    } });
    expect(await c.mustRun()).toBe("/opt\n");
  });

  test("cwd is entered, and made if it is missing", async () => {
    await using c = make({ args: ["/probe"], edit: processWith({ cwd: "/made/for/it" }) });
    expect((await c.probe()).cwd).toBe("/made/for/it");
  });

  test("cwd may be a directory that only the container's user may enter", async () => {
    await using c = make({ args: ["/probe"], edit: (spec, bundle) => {
      Object.assign(spec.process!, { cwd: "/private", user: { uid: 1000, gid: 1000 } });
      mkdirSync(`${bundle.rootfs}/private`, { mode: 0o700 });
      chownSync(`${bundle.rootfs}/private`, 1000, 1000);
    } });
    expect((await c.probe()).cwd).toBe("/private");
  });

  test("standard input, output and error are the caller's", async () => {
    await using c = make({ args: ["sh", "-c", "cat; echo err >&2; exit 3"] });
    const result = await c.run({ input: "from the caller\n" });
    expect(result).toMatchObject({ code: 3, stdout: "from the caller\n", stderr: "err\n" });
  });

  test("a pipe on standard input reaches the container, and so does its end", async () => {
    await using c = make({ args: ["sh", "-c", "read line; echo got $line; cat; echo end"] });
    const run = c.startRun({ input: "pipe" });
    run.stdin!.write("one\n");
    await until("the first line", () => run.stdout === "got one\n");
    run.stdin!.end("two\n");
    expect((await run.result()).stdout).toBe("got one\ntwo\nend\n");
  });

  test("after create the standard streams stay those of the caller of create", async () => {
    await using c = make({ args: ["cat"] });
    await c.mustCreate({ input: "kept\n" });
    await c.mustStart();
    expect(await c.exitStatus()).toEqual({ code: 0, signal: null });
    expect(c.stdout).toBe("kept\n");
  });
});

describeRuntime("process: a program that cannot be executed", ({ test, make }) => {
  const cases: [string, string, RegExp][] = [
    ["a name that PATH does not have", "nosuch", /executable file not found in/],
    ["an absolute path that does not exist", "/bin/nosuch", /no such file or directory/],
    ["a file without execute permission", "/etc/passwd", /permission denied/],
    ["a directory", "/etc", /permission denied|is a directory/],
  ];
  for (const [what, program, words] of cases) {
    test(`create fails for ${what}, with the words that engines look for`, async () => {
      await using c = make({ args: [program] });
      const result = await c.create();
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(words);
      expect(result.stderr.trimEnd()).not.toContain("\n");
      await c.expectNothingLeft();
    });

    test(`run fails for ${what} and leaves nothing`, async () => {
      await using c = make({ args: [program] });
      const result = await c.run();
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(words);
      await c.expectNothingLeft();
    });
  }

  test("a file in no executable format ends the container with an error on its standard error", async () => {
    await using c = make({ args: ["/garbage"], edit: (_spec, bundle) => { bundle.file("garbage", "neither ELF nor script", 0o755); } });
    const result = await c.run();
    expect(result.code).not.toBe(0);
    expect(result.stderr).toMatch(/exec format error/i);
    await c.expectNothingLeft();
  });

  test("an interpreter that does not exist is reported", async () => {
    await using c = make({ args: ["/script"], edit: (_spec, bundle) => { bundle.file("script", "#!/nosuch\n", 0o755); } });
    const result = await c.run();
    expect(result.code).not.toBe(0);
    expect(result.stderr).toMatch(/no such file or directory/);
    await c.expectNothingLeft();
  });
});

describeRuntime("process: identity and limits", ({ test, make }) => {
  test("user, group, additional groups and umask", async () => {
    await using c = make({ args: ["/probe"], edit: processWith({ user: { uid: 1234, gid: 2345, additionalGids: [5, 77], umask: 0o027 } }) });
    const probe = await c.probe();
    expect(probe).toMatchObject({ uid: [1234, 1234, 1234, 1234], gid: [2345, 2345, 2345, 2345], umask: 0o027 });
    expect(probe.groups.sort((a, b) => a - b)).toEqual([5, 77]);
  });

  test("without umask it is 022, and without additional groups there are none, whatever the caller has", async () => {
    await using c = make({ args: ["/probe"] });
    const probe = await c.probe({ prefix: ["setpriv", "--groups", "10,20", "sh", "-c", 'umask 077; exec "$@"', "sh"] });
    expect(probe).toMatchObject({ umask: 0o022, groups: [] });
  });

  test("rlimits", async () => {
    await using c = make({ args: ["/probe"], edit: processWith({ rlimits: [
      { type: "RLIMIT_NOFILE", soft: 100, hard: 200 }, { type: "RLIMIT_CORE", soft: 0, hard: 0 }, { type: "RLIMIT_STACK", soft: 4 << 20, hard: 16 << 20 },
      { type: "RLIMIT_AS", soft: 2 ** 40, hard: 2 ** 41 },
    ] }) });
    const { rlimits } = await c.probe();
    expect(rlimits).toMatchObject({ RLIMIT_NOFILE: [100, 200], RLIMIT_CORE: [0, 0], RLIMIT_STACK: [4 << 20, 16 << 20], RLIMIT_AS: [2 ** 40, 2 ** 41] });
  });

  test("limits that are not named are the caller's", { cannot: { "runc 1.1": "Go raises the soft limit of descriptors" } }, async () => {
    await using c = make({ args: ["/probe"] });
    const { rlimits } = await c.probe({ prefix: ["prlimit", "--nofile=3000:3500", "--stack=6291456:33554432"] });
    expect(rlimits).toMatchObject({ RLIMIT_NOFILE: [3000, 3500], RLIMIT_STACK: [6291456, 33554432] });
  });

  const badLimits: [string, { type: string; soft: number; hard: number }[]][] = [
    ["an unknown limit", [{ type: "RLIMIT_NOSUCH", soft: 1, hard: 1 }]],
    ["a soft limit above the hard one", [{ type: "RLIMIT_NOFILE", soft: 20, hard: 10 }]],
  ];
  for (const [what, rlimits] of badLimits) {
    test(`${what} fails and leaves nothing`, async () => {
      await using c = make({ edit: processWith({ rlimits }) });
      const result = await c.create();
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(/rlimit/i);
      await c.expectNothingLeft();
    });
  }

  for (const value of [0, 321, 1000]) {
    test(`oomScoreAdj ${value}`, async () => {
      await using c = make({ args: ["/probe"], edit: processWith({ oomScoreAdj: value }) });
      expect((await c.probe()).oomScoreAdj).toBe(`${value}\n`);
    });
  }

  test("without oomScoreAdj the caller's value stays", async () => {
    await using c = make({ args: ["/probe"] });
    const probe = await c.probe({ prefix: ["sh", "-c", 'echo 77 > /proc/self/oom_score_adj; exec "$@"', "sh"] });
    expect(probe.oomScoreAdj).toBe("77\n");
  });
});

describeRuntime("process: scheduling", ({ test, make }) => {
  const policies: [string, Record<string, unknown>, Partial<Probe["sched"]>][] = [
    ["SCHED_OTHER with a nice value", { policy: "SCHED_OTHER", nice: 7 }, { policy: 0, nice: 7 }],
    ["SCHED_BATCH", { policy: "SCHED_BATCH", nice: -3 }, { policy: 3, nice: -3 }],
    ["SCHED_IDLE", { policy: "SCHED_IDLE" }, { policy: 5 }],
    ["SCHED_FIFO with a flag", { policy: "SCHED_FIFO", priority: 11, flags: ["SCHED_FLAG_RESET_ON_FORK"] }, { policy: 1, priority: 11, flags: 1 }],
    ["SCHED_RR", { policy: "SCHED_RR", priority: 3 }, { policy: 2, priority: 3 }],
  ];
  for (const [what, scheduler, expected] of policies) {
    test(`scheduler: ${what}`, oldRunc, async () => {
      await using c = make({ args: ["/probe"], edit: (spec) => {
        spec.process!.scheduler = scheduler;
        // With CONFIG_RT_GROUP_SCHED a cgroup without real-time budget takes no real-time process.
        if ("priority" in scheduler && existsSync("/sys/fs/cgroup/cpu/cpu.rt_runtime_us")) spec.linux.resources = { cpu: { realtimePeriod: 1_000_000, realtimeRuntime: 10_000 } };
      } });
      expect((await c.probe()).sched).toMatchObject(expected);
    });
  }

  test("scheduler: SCHED_DEADLINE", oldRunc, async () => {
    const times = { runtime: 10_000_000, deadline: 30_000_000, period: 40_000_000 };
    await using c = make({ args: ["/probe"], edit: (spec) => {
      spec.process!.scheduler = { policy: "SCHED_DEADLINE", ...times };
      delete spec.linux.resources;
    } });
    expect((await c.probe()).sched).toMatchObject({ policy: 6, ...times });
  });

  for (const scheduler of [{ policy: "SCHED_NOSUCH" }, { policy: "SCHED_OTHER", flags: ["SCHED_FLAG_NOSUCH"] }, { policy: "SCHED_OTHER", nice: 100 }]) {
    test(`scheduler ${JSON.stringify(scheduler)} is refused`, oldRunc, async () => {
      await using c = make({ edit: processWith({ scheduler }) });
      const result = await c.create();
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(/sched/i);
      await c.expectNothingLeft();
    });
  }

  for (const [name, number] of [["IOPRIO_CLASS_RT", 1], ["IOPRIO_CLASS_BE", 2], ["IOPRIO_CLASS_IDLE", 3]] as const) {
    test(`ioPriority ${name}`, oldRunc, async () => {
      await using c = make({ args: ["/probe"], edit: processWith({ ioPriority: { class: name, priority: 5 } }) });
      expect((await c.probe()).ioprio).toBe((number << 13) | 5);
    });
  }

  test("personality LINUX32 changes uname; LINUX does not", oldRunc, async () => {
    for (const [domain, value, machine] of [["LINUX32", 8, "i686"], ["LINUX", 0, "x86_64"]] as const) {
      await using c = make({ args: ["/probe"], edit: (spec) => { spec.linux.personality = { domain }; } });
      expect(await c.probe()).toMatchObject({ personality: value, machine });
    }
  });

  test("memoryPolicy", { cannot: { "runc 1": "the field is newer" } }, async () => {
    await using c = make({ args: ["/probe"], edit: (spec) => { Object.assign(spec.linux, { memoryPolicy: { mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"] } }); } });
    expect((await c.probe()).memoryPolicy).toEqual({ mode: 2 | (1 << 15), nodes: 1 });
  });

  test("execCPUAffinity holds for exec and not for the container's process", oldRunc, async () => {
    await using c = make({ args: ["/probe", "--hold"], edit: processWith({ execCPUAffinity: { initial: "0", final: "1" } }) });
    await c.mustBegin();
    const init = JSON.parse(await c.outputMatching(/\n/)) as Probe;
    expect(init.cpus.length).toBeGreaterThan(1);
    const exec = JSON.parse(await c.mustExec([], { process: { args: ["/probe"], execCPUAffinity: { final: "1" } } })) as Probe;
    expect(exec.cpus).toEqual([1]);
    expect((JSON.parse(await c.mustExec(["/probe"])) as Probe).cpus).toEqual([1]);
  });
});

const openFiles = (dir: string, names: readonly string[]) => names.map((name) => {
  writeFileSync(`${dir}/${name}`, `${name}\n`);
  return openSync(`${dir}/${name}`, "r");
});

const openNumbers = (probe: Probe) => probe.fds.map(({ fd }) => fd);

describeRuntime("process: descriptors", ({ test, make }) => {
  test("nothing above standard error is open, although the caller has more", async () => {
    await using c = make({ args: ["/probe"] });
    const extraFds = openFiles(c.bundle.dir, ["a", "b", "c"]);
    const probe = await c.probe({ extraFds });
    expect(openNumbers(probe)).toEqual([0, 1, 2]);
    expect(probe.fds.every(({ cloexec }) => !cloexec)).toBe(true);
    extraFds.forEach(closeSync);
  });

  test("the same after create and start, and in exec", async () => {
    await using c = make({ args: ["/probe", "--hold"] });
    const extraFds = openFiles(c.bundle.dir, ["a", "b"]);
    await c.mustCreate({ extraFds });
    await c.mustStart();
    expect(openNumbers(JSON.parse(await c.outputMatching(/\n/)) as Probe)).toEqual([0, 1, 2]);
    expect(openNumbers(JSON.parse(await c.mustExec(["/probe"], { extraFds })) as Probe)).toEqual([0, 1, 2]);
    extraFds.forEach(closeSync);
  });

  test("--preserve-fds hands over that many descriptors and no more", async () => {
    await using c = make({ args: ["sh", "-c", "cat <&3; cat <&4; /probe --to /tmp/probe"] });
    const extraFds = openFiles(c.bundle.dir, ["first", "second", "third"]);
    expect(await c.mustRun({ flags: ["--preserve-fds", "2"], extraFds })).toBe("first\nsecond\n");
    expect(openNumbers(JSON.parse(c.bundle.read("tmp/probe")) as Probe)).toEqual([0, 1, 2, 3, 4]);
    extraFds.forEach(closeSync);
  });

  test("--preserve-fds works for create and exec too", async () => {
    await using c = make({ args: ["sh", "-c", "cat <&3; exec sleep 100"] });
    const extraFds = openFiles(c.bundle.dir, ["first"]);
    await c.mustBegin({ flags: ["--preserve-fds=1"], extraFds });
    await c.outputMatching(/first/);
    const [fresh = -1] = openFiles(c.bundle.dir, ["for-exec"]);
    expect(await c.mustExec(["sh", "-c", "cat <&3"], { flags: ["--preserve-fds=1"], extraFds: [fresh] })).toBe("for-exec\n");
    [...extraFds, fresh].forEach(closeSync);
  });

  test("--preserve-fds for a descriptor that is not open fails", { cannot: { "runc 1.3": "leaves its state directory" } }, async () => {
    await using c = make();
    const result = await c.create({ flags: ["--preserve-fds", "5"] });
    expect(result.code).toBe(1);
    await c.expectNothingLeft();
  });

  test("socket activation: LISTEN_FDS of the caller is handed on, with LISTEN_PID 1", async () => {
    await using c = make({ args: ["sh", "-c", "cat <&3; echo $LISTEN_FDS $LISTEN_PID"] });
    const extraFds = openFiles(c.bundle.dir, ["activated"]);
    const prefix = ["sh", "-c", 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh"];
    expect(await c.mustRun({ prefix, extraFds })).toBe("activated\n1 1\n");
    extraFds.forEach(closeSync);
  });
});
