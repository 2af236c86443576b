import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { isAlive, processesOf } from "../../support/host.ts";
import { until } from "../../support/until.ts";

const byId = (x: { id: string }, y: { id: string }) => (x.id < y.id ? -1 : 1);
const rfc3339Nano = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

describeRuntime("life cycle: create", ({ test, make }) => {
  test("create leaves a process that waits and has run nothing of the container", async () => {
    await using c = make({ args: ["sh", "-c", "echo started"] });
    await c.mustCreate();
    expect(await c.status()).toBe("created");
    expect(isAlive(c.pid)).toBe(true);
    expect(c.stdout).toBe("");
  });

  test("the pid file holds the bare number before create returns, and the number is the one in state", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustCreate();
    const text = readFileSync(c.pidFile, "utf8");
    expect(text).toMatch(/^[1-9]\d*$/);
    expect((await c.state()).pid).toBe(Number(text));
  });

  test("a relative pid file and a missing --bundle count from the caller's directory", async () => {
    await using c = make({ args: ["sleep", "100"] });
    const result = await c.command("create", [], { flags: ["--pid-file", "here.pid"], cwd: c.bundle.dir });
    expect(result.code, result.stderr).toBe(0);
    expect(Number(readFileSync(c.bundle.path("here.pid"), "utf8"))).toBe((await c.state()).pid);
  });

  test("options may be written as --flag=value and stand before the id in any order", async () => {
    await using c = make({ args: ["sleep", "100"] });
    const result = await c.command("create", [], { flags: [`--pid-file=${c.pidFile}`, "--no-new-keyring", `--bundle=${c.bundle.dir}`] });
    expect(result.code, result.stderr).toBe(0);
    expect(await c.status()).toBe("created");
  });

  test("config.json is read at create and never again", async () => {
    await using c = make({ args: ["sh", "-c", "echo first; hostname"] });
    await c.mustCreate();
    c.spec.process!.args = ["sh", "-c", "echo second"];
    c.spec.hostname = "changed";
    c.bundle.write();
    await c.mustStart();
    await c.exitStatus();
    expect(c.stdout).toBe("first\ncontract\n");
  });

  test("a second create with the same id fails and leaves the first container as it was", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const before = await c.state();
    const again = await c.command("create", [], { flags: ["--bundle", c.bundle.dir, "--pid-file", c.bundle.path("other.pid")] });
    expect(again.code).toBe(1);
    expect(again.stderr).toMatch(/exist/);
    expect(await c.state()).toEqual(before);
    expect(isAlive(before.pid)).toBe(true);
    expect(existsSync(c.bundle.path("other.pid"))).toBe(false);
  });

  for (const id of ["a/b", "..", ".", "../x", "a b", "", "a\nb", "-x/", "é"]) {
    test(`the id ${JSON.stringify(id)} is refused and nothing is created`, async () => {
      await using c = make();
      const result = await c.call("create", ["--", id], { flags: ["--bundle", c.bundle.dir] }).result();
      expect(result.code).toBe(1);
      expect(result.stderr).not.toBe("");
      await c.expectNothingLeft();
    });
  }

  test("a container without process can be created and inspected; start fails", { cannot: { "runc 1": "refuses it at create" } }, async () => {
    await using c = make({ edit: (spec) => delete spec.process });
    await c.mustCreate();
    expect(await c.status()).toBe("created");
    const result = await c.start();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/process/);
    expect((await c.delete("--force")).code).toBe(0);
    await c.expectNothingLeft();
  });
});

describeRuntime("life cycle: start and exit", ({ test, make }) => {
  test("the caller of create receives the exit code of the container's process", async () => {
    await using c = make({ args: ["sh", "-c", "exit 7"] });
    await c.mustBegin();
    expect(await c.exitStatus()).toEqual({ code: 7, signal: null });
    expect(await c.status()).toBe("stopped");
  });

  test("the caller of create receives the signal that killed the container's process", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    expect((await c.kill("KILL")).code).toBe(0);
    expect(await c.exitStatus()).toEqual({ code: null, signal: 9 });
  });

  test("a second start fails and changes nothing", async () => {
    await using c = make({ args: ["sh", "-c", "echo once; exec sleep 100"] });
    await c.mustBegin();
    await c.outputMatching(/once/);
    const before = await c.state();
    const again = await c.start();
    expect(again.code).toBe(1);
    expect(again.stderr).not.toBe("");
    expect(await c.state()).toEqual(before);
    expect(c.stdout).toBe("once\n");
  });

  test("start of a stopped container fails", async () => {
    await using c = make();
    await c.mustBegin();
    await c.exitStatus();
    const again = await c.start();
    expect(again.code).toBe(1);
    expect(await c.status()).toBe("stopped");
  });

  test("a process that is no container's any more does not keep it running: stopped has pid 0", async () => {
    await using c = make();
    await c.mustBegin();
    await c.exitStatus();
    expect(await c.state()).toMatchObject({ status: "stopped", pid: 0 });
  });

  for (const command of ["start", "state", "kill", "delete", "pause", "resume", "ps", "update"]) {
    test(`${command} of an unknown container fails with "does not exist"`, async () => {
      await using c = make();
      const result = await c.command(command);
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(/does not exist/);
    });
  }
});

describeRuntime("life cycle: state and list", ({ test, make, runtime }) => {
  test("state has every field of the specification and runc's own", async () => {
    const started = Date.now();
    await using c = make({ args: ["sleep", "100"], edit: (spec) => { spec.annotations = { "org.example.key": "a value" }; } });
    await c.mustBegin();
    const state = await c.state();
    expect(state).toEqual({
      ociVersion: expect.stringMatching(/^1\.\d+\.\d+/),
      id: c.id,
      pid: c.pid,
      status: "running",
      bundle: c.bundle.dir,
      rootfs: c.rootfs,
      created: expect.stringMatching(rfc3339Nano),
      annotations: { "org.example.key": "a value" },
      owner: "",
    });
    expect(Math.abs(Date.parse(state.created) - started)).toBeLessThan(10_000);
  });

  test("list prints one line of JSON with the same objects, ids with -q, and a table", async () => {
    await using a = make({ args: ["sleep", "100"] });
    await using b = make({ args: ["sleep", "100"], stateRoot: a.stateRoot });
    await a.mustBegin();
    await b.mustCreate();
    const json = (await a.call("list", [], { flags: ["--format=json"] }).result()).stdout;
    expect(json.trimEnd()).not.toContain("\n");
    const listed = (JSON.parse(json) as { id: string; owner: string; rootfs: string }[]).sort(byId);
    const states = [await a.state(), await b.state()].sort(byId);
    expect(listed.map(({ owner: _owner, rootfs: _rootfs, ...rest }) => rest)).toEqual(states.map(({ owner: _owner, rootfs: _rootfs, ...rest }) => rest));
    expect(listed.map(({ owner }) => owner)).toEqual(["root", "root"]);
    const quiet = (await a.call("list", [], { flags: ["-q"] }).result()).stdout;
    expect(quiet.split("\n").filter(Boolean).sort()).toEqual([a.id, b.id].sort());
    const [head = "", ...rows] = (await a.call("list", []).result()).stdout.trimEnd().split("\n");
    expect(head.split(/\s+/).filter(Boolean)).toEqual(["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    expect(rows.map((row) => row.split(/\s+/).slice(0, 4)).sort()).toEqual(
      [[a.id, String(a.pid), "running", a.bundle.dir], [b.id, String(b.pid), "created", b.bundle.dir]].sort(),
    );
  });

  test("list of an empty or missing state directory succeeds", { cannot: { "runc 1.3": "reports a missing --root" } }, async () => {
    await using c = make();
    for (const root of [c.stateRoot, c.bundle.path("absent")]) {
      const json = await c.call("list", [], { global: ["--root", root], flags: ["--format", "json"] }).result();
      expect(json.code, json.stderr).toBe(0);
      expect(["null", "[]"]).toContain(json.stdout.trim());
      expect((await c.call("list", [], { global: ["--root", root], flags: ["-q"] }).result()).stdout).toBe("");
    }
  });

  test("--version prints name, commit and specification", async () => {
    await using c = make();
    const lines = (await c.call("--version", []).result()).stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^\S+ version \d+\.\d+/);
    expect(lines[0]?.replace(" version ", " ")).toBe(runtime.version);
    expect(lines.some((line) => /^commit: \S+/.test(line))).toBe(true);
    expect(lines.some((line) => /^spec: 1\.\d+\.\d+/.test(line))).toBe(true);
  });
});

describeRuntime("life cycle: kill", ({ test, make }) => {
  const spellings: [string[], number][] = [[[], 15], [["TERM"], 15], [["SIGTERM"], 15], [["15"], 15], [["HUP"], 1], [["SIGUSR1"], 10], [["10"], 10], [["WINCH"], 28], [["RTMIN+3"], 37]];
  test("kill takes names with and without SIG and numbers; the default is TERM", { cannot: { "runc 1": "no RTMIN+n names" } }, async () => {
    await using c = make({ args: ["/tool", "signals"] });
    await c.mustBegin();
    await c.outputMatching(/ready/);
    let expected = "ready\n";
    for (const [words, number] of spellings) {
      const result = await c.kill(...words);
      expect(result.code, `${words}: ${result.stderr}`).toBe(0);
      expected += `signal ${number}\n`;
      await until(`signal ${number} (${words})`, () => c.stdout === expected);
    }
  });

  test("kill takes the names that engines send", async () => {
    await using c = make({ args: ["/tool", "signals"] });
    await c.mustBegin();
    await c.outputMatching(/ready/);
    let expected = "ready\n";
    for (const [words, number] of spellings.slice(0, -1)) {
      const result = await c.kill(...words);
      expect(result.code, `${words}: ${result.stderr}`).toBe(0);
      expected += `signal ${number}\n`;
      await until(`signal ${number} (${words})`, () => c.stdout === expected);
    }
  });

  test("kill 0 only asks whether the process is there", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    expect((await c.kill("0")).code).toBe(0);
    expect(await c.status()).toBe("running");
  });

  for (const signal of ["KILL", "SIGKILL", "9"]) {
    test(`kill ${signal} ends a process that blocks everything`, async () => {
      await using c = make({ args: ["/tool", "signals"] });
      await c.mustBegin();
      await c.outputMatching(/ready/);
      expect((await c.kill(signal)).code).toBe(0);
      expect(await c.exitStatus()).toEqual({ code: null, signal: 9 });
    });
  }

  for (const signal of ["NOSUCH", "-1", "999", "1x"]) {
    test(`kill ${signal} is refused`, async () => {
      await using c = make({ args: ["sleep", "100"] });
      await c.mustBegin();
      const result = await c.call("kill", ["--", c.id, signal]).result();
      expect(result.code).toBe(1);
      expect(await c.status()).toBe("running");
    });
  }

  test("kill of a created container ends it", async () => {
    await using c = make({ args: ["echo", "ran"] });
    await c.mustCreate();
    expect((await c.kill("KILL")).code).toBe(0);
    await c.exitStatus();
    expect(await c.status()).toBe("stopped");
    expect(c.stdout).toBe("");
  });

  test("kill of a stopped container fails with the words that engines look for; kill --all succeeds", async () => {
    await using c = make();
    await c.mustBegin();
    await c.exitStatus();
    const one = await c.kill("KILL");
    expect(one.code).toBe(1);
    expect(one.stderr).toMatch(/container not running/);
    expect((await c.command("kill", ["KILL"], { flags: ["--all"] })).code).toBe(0);
  });

  test("kill --all reaches every process", { cannot: { "runc 1.3": "ignores --all where there is a pid namespace" } }, async () => {
    await using c = make({ args: ["sh", "-c", "trap 'echo init got it' USR1; sh -c 'trap \"echo child got it; exit\" USR1; echo up; while :; do sleep 0.05; done' & while :; do sleep 0.05; done"] });
    await c.mustBegin();
    await c.outputMatching(/up/);
    expect((await c.command("kill", ["USR1"], { flags: ["-a"] })).code).toBe(0);
    await c.outputMatching(/init got it/);
    await c.outputMatching(/child got it/);
  });

  const withoutPidNamespace = { args: ["sh", "-c", "sleep 1000 & sleep 1000 & echo up; wait"], edit: (spec: { linux: { namespaces: { type: string }[] } }) => {
    spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== "pid");
  } };

  test("without a pid namespace kill KILL ends every member of the cgroup", { cannot: { "runc 1.1": "kills only the init" } }, async () => {
    await using c = make(withoutPidNamespace);
    await c.mustBegin();
    await c.outputMatching(/up/);
    await until("three processes", () => processesOf(c.id).length === 3);
    expect((await c.kill("KILL")).code).toBe(0);
    await until("no process left", () => processesOf(c.id).length === 0);
  });

  test("without a pid namespace kill --all KILL ends every member of the cgroup", async () => {
    await using c = make(withoutPidNamespace);
    await c.mustBegin();
    await c.outputMatching(/up/);
    expect((await c.command("kill", ["KILL"], { flags: ["--all"] })).code).toBe(0);
    await until("no process left", () => processesOf(c.id).length === 0);
  });

  test("without a pid namespace delete ends what outlived the container's process", async () => {
    await using c = make({ ...withoutPidNamespace, args: ["sh", "-c", "sleep 1000 & sleep 1000 & echo up"] });
    await c.mustBegin();
    await until("the init to end", () => !isAlive(c.pid));
    await until("the two that outlive it", () => processesOf(c.id).length === 2);
    expect((await c.delete()).code).toBe(0);
    await c.expectNothingLeft();
  });
});

describeRuntime("life cycle: delete", ({ test, make }) => {
  test("delete of a running container fails and it goes on", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const result = await c.delete();
    expect(result.code).toBe(1);
    expect(result.stderr).not.toBe("");
    expect(await c.status()).toBe("running");
    expect(isAlive(c.pid)).toBe(true);
  });

  test("delete of a created container ends and removes it", async () => {
    await using c = make({ args: ["echo", "ran"] });
    await c.mustCreate();
    expect((await c.delete()).code).toBe(0);
    await c.exitStatus();
    expect(c.stdout).toBe("");
    await c.expectNothingLeft();
  });

  test("delete of a stopped container leaves nothing behind", async () => {
    await using c = make();
    await c.mustBegin();
    await c.exitStatus();
    expect((await c.delete()).code).toBe(0);
    await c.expectNothingLeft();
    expect(await c.status()).toBe("absent");
  });

  for (const phase of ["created", "running", "paused", "stopped"] as const) {
    test(`delete --force of a ${phase} container leaves nothing behind`, async () => {
      await using c = make({ args: phase === "stopped" ? ["true"] : ["sh", "-c", "sleep 100 & sleep 100"] });
      await c.mustCreate();
      if (phase !== "created") await c.mustStart();
      if (phase === "paused") await c.mustCommand("pause");
      if (phase === "stopped") await c.exitStatus();
      expect(await c.status()).toBe(phase);
      const result = await c.delete("--force");
      expect(result.code, result.stderr).toBe(0);
      await c.expectNothingLeft();
    });
  }

  test("delete --force of a missing container succeeds in silence, without the flag it fails", async () => {
    await using c = make();
    const forced = await c.delete("--force");
    expect(forced).toMatchObject({ code: 0, stdout: "" });
    expect((await c.delete()).code).toBe(1);
  });

  test("the id can be used again after delete", async () => {
    await using c = make({ args: ["echo", "again"] });
    await c.mustBegin();
    await c.exitStatus();
    await c.delete();
    expect(await c.mustRun()).toBe("again\n");
  });
});

describeRuntime("life cycle: run", ({ test, make }) => {
  for (const code of [0, 1, 42, 255]) {
    test(`foreground run ends with the command's own code ${code} and leaves nothing`, async () => {
      await using c = make({ args: ["sh", "-c", `exit ${code}`] });
      expect((await c.run()).code).toBe(code);
      await c.expectNothingLeft();
    });
  }

  test("foreground run of a killed container ends with 128 and the signal's number", async () => {
    await using c = make({ args: ["sleep", "100"] });
    const run = c.startRun();
    await until("running", async () => (await c.status()) === "running");
    await c.kill("KILL");
    expect((await run.result()).code).toBe(137);
  });

  test("foreground run forwards signals to the container", async () => {
    await using c = make({ args: ["/tool", "signals"] });
    const run = c.startRun();
    await until("ready", () => run.stdout.includes("ready"));
    const pid = await run.pid;
    for (const [name, number] of [["SIGTERM", 15], ["SIGINT", 2], ["SIGHUP", 1], ["SIGUSR1", 10]] as const) {
      process.kill(pid, name);
      await until(name, () => run.stdout.includes(`signal ${number}\n`));
    }
    process.kill(pid, "SIGUSR2");
    expect((await run.result()).code).toBe(0);
  });

  test("run --keep leaves the stopped container", async () => {
    await using c = make();
    expect((await c.run({ flags: ["--keep"] })).code).toBe(0);
    expect(await c.status()).toBe("stopped");
  });

  test("run --detach returns while the container runs, and no process but the container's is left", async () => {
    await using c = make({ args: ["sleep", "1000"] });
    const result = await c.run({ flags: ["--detach", "--pid-file", c.pidFile] });
    expect(result.code, result.stderr).toBe(0);
    expect(await c.state()).toMatchObject({ status: "running", pid: c.pid });
    expect(processesOf(c.id)).toEqual([`${c.pid} sleep 1000`]);
    await c.delete("--force");
    expect([...(await result.call.orphans).keys()]).toContain(c.pid);
  });

  test("state is kept in the directory that --root names", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustCreate();
    expect(readdirSync(c.stateRoot)).toEqual([c.id]);
    const elsewhere = await c.command("state", [], { global: ["--root", join(c.bundle.dir, "other")] });
    expect(elsewhere.code).toBe(1);
  });

  test("an unknown command ends with 3, an unknown flag with 1", async () => {
    await using c = make();
    expect((await c.call("no-such-command", []).result()).code).toBe(3);
    expect((await c.command("state", [], { flags: ["--no-such-flag"] })).code).toBe(1);
    expect((await c.call("state", [], { global: ["--no-such-flag"] }).result()).code).toBe(1);
  });

  test("a missing or a surplus word is an error", async () => {
    await using c = make();
    expect((await c.call("state", []).result()).code).not.toBe(0);
    expect((await c.command("state", ["surplus"])).code).not.toBe(0);
    expect((await c.call("create", [], { flags: ["--bundle", c.bundle.dir] }).result()).code).not.toBe(0);
  });
});
