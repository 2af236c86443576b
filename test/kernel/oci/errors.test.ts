import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Bundle } from "../../support/bundle.ts";
import { describeRuntime } from "../../support/contract.ts";
import type { Spec } from "../../support/spec.ts";

type Bad = { what: string; edit?: (spec: Spec, bundle: Bundle) => void; break?: (bundle: Bundle) => void; words: RegExp; cannot?: Record<string, string> };
const accepts = { "runc 1": "accepts it" };
const otherWords = { "runc 1": "does not name it" };

/** Each must fail at create with code 1 and one line that matches `words`, and leave nothing on the host. */
const badInputs: Bad[] = [
  { what: "no config.json", break: (bundle) => rmSync(bundle.configPath), words: /config\.json/ },
  { what: "an empty config.json", break: (bundle) => writeFileSync(bundle.configPath, ""), words: /config\.json/, cannot: otherWords },
  { what: "a config.json that is not JSON", break: (bundle) => writeFileSync(bundle.configPath, '{"ociVersion": '), words: /config\.json/, cannot: otherWords },
  { what: "a config.json that is an array", break: (bundle) => writeFileSync(bundle.configPath, "[]"), words: /config\.json/, cannot: otherWords },
  { what: "a config.json that is a directory", break: (bundle) => { rmSync(bundle.configPath); mkdirSync(bundle.configPath); }, words: /config\.json|is a directory/i },
  { what: "a bundle that does not exist", break: (bundle) => rmSync(bundle.dir, { recursive: true }), words: /no such file|does not exist|in the bundle/i },
  { what: "no root file system", edit: (_spec, bundle) => rmSync(bundle.rootfs, { recursive: true }), words: /rootfs/ },
  { what: "a root file system that is a file", edit: (spec, bundle) => { writeFileSync(bundle.path("file"), ""); spec.root.path = "file"; }, words: /file|root|not a directory/ },
  { what: "no root", edit: (spec) => { delete (spec as Partial<Spec>).root; }, words: /root/i },
  { what: "no linux section", edit: (spec) => { delete (spec as Partial<Spec>).linux; }, words: /linux|namespace/i },
  { what: "process without args", edit: (spec) => { spec.process!.args = []; }, words: /args/i },
  { what: "process without cwd", edit: (spec) => { spec.process!.cwd = ""; }, words: /cwd/i },
  { what: "a relative cwd", edit: (spec) => { spec.process!.cwd = "tmp"; }, words: /cwd/i },
  { what: "args of another type", edit: (spec) => { Object.assign(spec.process!, { args: "sh" }); }, words: /args/ },
  { what: "an argument of another type", edit: (spec) => { Object.assign(spec.process!, { args: ["sh", 1] }); }, words: /args/ },
  { what: "an argument with a NUL", edit: (spec) => { spec.process!.args = ["echo", "a\0b"]; }, words: /args|NUL|invalid argument/i, cannot: accepts },
  { what: "a negative uid", edit: (spec) => { spec.process!.user.uid = -1; }, words: /uid/ },
  { what: "a uid above 32 bits", edit: (spec) => { spec.process!.user.uid = 2 ** 33; }, words: /uid/ },
  { what: "mounts of another type", edit: (spec) => { Object.assign(spec, { mounts: {} }); }, words: /mounts/ },
  { what: "a mount without destination", edit: (spec) => { Object.assign(spec, { mounts: [{ type: "tmpfs", source: "tmpfs" }] }); }, words: /destination|mount/i },
  { what: "a bind without source", edit: (spec) => { spec.mounts.push({ destination: "/x", type: "bind", options: ["bind"] }); }, words: /source|\/x|mount/, cannot: accepts },
  { what: "namespaces of another type", edit: (spec) => { Object.assign(spec.linux, { namespaces: "pid" }); }, words: /namespaces/ },
  { what: "masked paths without a mount namespace", edit: (spec) => { spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== "mount"); }, words: /mount|namespace|mntns/i },
  { what: "an oomScoreAdj out of range", edit: (spec) => { spec.process!.oomScoreAdj = 1001; }, words: /oom/i },
  { what: "an unsupported ociVersion", edit: (spec) => { spec.ociVersion = "9.0.0"; }, words: /ociVersion|version/i, cannot: accepts },
  { what: "no ociVersion", edit: (spec) => { delete (spec as Partial<Spec>).ociVersion; }, words: /ociVersion|version/i, cannot: accepts },
  { what: "a cgroupsPath of another type", edit: (spec) => { Object.assign(spec.linux, { cgroupsPath: 7 }); }, words: /cgroupsPath/ },
  { what: "an env entry without =", edit: (spec) => { spec.process!.env = ["PATH=/bin", "NOTHING"]; }, words: /env/i },
];

describeRuntime("errors: bad input", ({ test, make }) => {
  for (const bad of badInputs) {
    test(`${bad.what}: one line that names it, code 1, nothing left`, bad.cannot === undefined ? {} : { cannot: bad.cannot }, async () => {
      await using c = make(bad.edit === undefined ? {} : { edit: bad.edit });
      bad.break?.(c.bundle);
      const result = await c.call("create", [c.id], { flags: ["--bundle", c.bundle.dir, "--pid-file", c.pidFile], dir: `${c.bundle.dir}.io` }).result();
      rmSync(`${c.bundle.dir}.io`, { recursive: true });
      expect(result.code).toBe(1);
      expect(result.stdout).toBe("");
      expect(result.stderr).toMatch(bad.words);
      await c.expectNothingLeft();
    });
  }

  test("every error is one line without a stack trace", { cannot: { "runc 1": "adds warnings" } }, async () => {
    for (const bad of badInputs) {
      await using c = make(bad.edit === undefined ? {} : { edit: bad.edit });
      bad.break?.(c.bundle);
      const { stderr } = await c.call("create", [c.id], { flags: ["--bundle", c.bundle.dir], dir: `${c.bundle.dir}.io` }).result();
      rmSync(`${c.bundle.dir}.io`, { recursive: true });
      expect(stderr.trimEnd().split("\n"), `${bad.what}: ${stderr}`).toHaveLength(1);
      expect(stderr, bad.what).not.toMatch(/\.ts:\d+|at .*\(/);
    }
  });

  test("the state directory cannot be written: an error that names it", async () => {
    await using c = make();
    writeFileSync(c.bundle.path("not-a-directory"), "");
    const result = await c.create({ global: ["--root", c.bundle.path("not-a-directory")] });
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/not-a-directory/);
    await c.expectNothingLeft();
  });

  test("the pid file cannot be written: create fails and leaves nothing", async () => {
    await using c = make({ args: ["sleep", "100"] });
    const result = await c.command("create", [], { flags: ["--bundle", c.bundle.dir, "--pid-file", "/no/such/dir/pid"] });
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/\/no\/such\/dir/);
    await c.expectNothingLeft();
  });

  test("unknown fields are passed over, so that newer engines work", async () => {
    await using c = make({ args: ["echo", "fine"], edit: (spec) => { Object.assign(spec, { future: { field: 1 } }); Object.assign(spec.linux, { futureToo: [] }); } });
    expect(await c.mustRun()).toBe("fine\n");
  });

  test("a create that failed does not stand in the way of the next one", async () => {
    await using c = make({ args: ["echo", "second"], edit: (spec) => { spec.mounts.push({ destination: "/x", type: "nosuchfs" }); } });
    expect((await c.create()).code).toBe(1);
    c.spec.mounts.pop();
    c.bundle.write();
    await c.mustBegin();
    await c.outputMatching(/second/);
  });

  test("a corrupt state file is reported by state and list does not fail for the others", async () => {
    await using a = make({ args: ["sleep", "100"] });
    await a.mustBegin();
    mkdirSync(`${a.stateRoot}/broken`);
    writeFileSync(`${a.stateRoot}/broken/state.json`, "{");
    const result = await a.call("list", [], { flags: ["--format", "json"] }).result();
    expect(result.code, result.stderr).toBe(0);
    expect((JSON.parse(result.stdout) as { id: string }[]).map(({ id }) => id)).toContain(a.id);
    const state = await a.call("state", ["broken"]).result();
    expect(state.code).toBe(1);
    expect(state.stderr.trim()).not.toBe("");
  });
});

describeRuntime("errors: logs", ({ test, make }) => {
  const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

  test("--log-format json: exactly one object on one line, and the error on standard error too", async () => {
    await using c = make({ args: ["/no/such/program"] });
    const log = c.bundle.path("log.json");
    const result = await c.create({ global: ["--log", log, "--log-format", "json"] });
    expect(result.code).toBe(1);
    const text = readFileSync(log, "utf8");
    expect(text.trimEnd().split("\n")).toHaveLength(1);
    const entry = JSON.parse(text) as Record<string, string>;
    expect(Object.keys(entry).sort()).toEqual(["level", "msg", "time"]);
    expect(entry["level"]).toBe("error");
    expect(entry["time"]).toMatch(iso);
    expect(entry["msg"]).toMatch(/no such file or directory/);
    expect(result.stderr).toContain("no such file or directory");
  });

  test("--log-format=text: a line with level, time and message", async () => {
    await using c = make({ args: ["/no/such/program"] });
    const log = c.bundle.path("log.txt");
    await c.create({ global: [`--log=${log}`, "--log-format=text"] });
    expect(readFileSync(log, "utf8")).toMatch(/^time="?[^ ]+ level=error msg=".*no such file or directory.*"\n$/);
  });

  test("a successful command writes nothing to the log, and appends to what is there", async () => {
    await using c = make({ args: ["sleep", "100"] });
    const log = c.bundle.path("log.json");
    writeFileSync(log, "earlier\n");
    await c.mustCreate({ global: ["--log", log, "--log-format", "json"] });
    expect(readFileSync(log, "utf8")).toBe("earlier\n");
    await c.command("create", [], { global: ["--log", log, "--log-format", "json"], flags: ["--bundle", c.bundle.dir] });
    expect(readFileSync(log, "utf8").split("\n")[0]).toBe("earlier");
    expect(readFileSync(log, "utf8").split("\n")).toHaveLength(3);
  });

  test("--debug adds lines of a lower level to the log", async () => {
    await using c = make({ args: ["sleep", "100"] });
    const log = c.bundle.path("log.json");
    await c.mustCreate({ global: ["--debug", "--log", log, "--log-format", "json"] });
    const levels = readFileSync(log, "utf8").trim().split("\n").map((line) => (JSON.parse(line) as { level: string }).level);
    expect(levels).toContain("debug");
    expect(levels).not.toContain("error");
  });

  test("an unknown log format is an error", async () => {
    await using c = make();
    const result = await c.command("state", [], { global: ["--log-format", "yaml"] });
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/format/);
  });

  for (const command of ["state", "start", "kill", "delete"]) {
    test(`${command} of an unknown container logs one error`, async () => {
      await using c = make();
      const log = c.bundle.path("log.json");
      await c.command(command, [], { global: ["--log", log, "--log-format", "json"] });
      const lines = readFileSync(log, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as { level: string; msg: string });
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatchObject({ level: "error", msg: expect.stringMatching(/does not exist/) });
    });
  }
});

describeRuntime("features", ({ test, make }) => {
  test("features prints what the runtime has", async () => {
    await using c = make();
    const result = await c.call("features", []).result();
    expect(result.code, result.stderr).toBe(0);
    expect(JSON.parse(result.stdout)).toMatchObject({
      ociVersionMin: expect.stringMatching(/^1\.0\.\d/), ociVersionMax: expect.stringMatching(/^1\.\d+\.\d/),
      hooks: ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
      mountOptions: expect.arrayContaining(["bind", "rbind", "ro", "rro", "nosuid", "rnosuid", "rprivate", "tmpcopyup"]),
      linux: {
        namespaces: expect.arrayContaining(["cgroup", "ipc", "mount", "network", "pid", "user", "uts"]),
        capabilities: expect.arrayContaining(["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE"]),
        cgroup: expect.objectContaining({ v1: true, v2: true }),
        seccomp: expect.objectContaining({ enabled: true, actions: expect.arrayContaining(["SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY"]), operators: expect.arrayContaining(["SCMP_CMP_MASKED_EQ"]) }),
      },
    });
  });

  test("every mount option that it names is accepted", { cannot: { "runc 1": "names options that it hands on to the file system" } }, async () => {
    await using c = make();
    const { mountOptions } = JSON.parse((await c.call("features", []).result()).stdout) as { mountOptions: string[] };
    const skip = /^(r?bind|remount|r?idmap|.*(shared|slave|private|unbindable)|tmpcopyup|acl|noacl|mand|nomand|i?version|noiversion|iversion)$/;
    for (const option of mountOptions.filter((name) => !skip.test(name))) {
      await using one = make({ edit: (spec) => { spec.mounts.push({ destination: "/t", type: "tmpfs", source: "tmpfs", options: [option] }); } });
      expect((await one.run()).code, option).toBe(0);
    }
  });

  test("spec writes a config.json that runs, and does not write over one", async () => {
    await using c = make();
    rmSync(c.bundle.configPath);
    expect((await c.call("spec", [], { cwd: c.bundle.dir }).result()).code).toBe(0);
    const spec = JSON.parse(readFileSync(c.bundle.configPath, "utf8")) as Spec;
    expect(spec.process?.terminal).toBe(true);
    Object.assign(spec.process!, { terminal: false, args: ["echo", "from spec"] });
    writeFileSync(c.bundle.configPath, JSON.stringify(spec));
    expect(await c.mustRun()).toBe("from spec\n");
    expect((await c.call("spec", [], { flags: ["--bundle", c.bundle.dir] }).result()).code).toBe(1);
  });
});
