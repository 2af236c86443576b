/** Input that is wrong in itself: one line that names it, the exit code, nothing left. Bad fields of config.json: test/kernel/oci/errors.test.ts. */
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { afterAll, describe, expect, test } from "vitest";
import type { CommandOptions, Container } from "../../support/container.ts";
import { removeWorkDir } from "../../support/paths.ts";
import { expectOneLine, make } from "./own.ts";

afterAll(removeWorkDir);

type Bad = { readonly what: string; readonly words: RegExp; readonly break: (c: Container) => void; readonly options?: (c: Container) => CommandOptions };

const deep = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;

function replaceConfig(c: Container, content: string | Uint8Array): void {
  writeFileSync(c.bundle.configPath, content);
}

const files: Bad[] = [
  { what: "config.json is a directory", words: /config\.json: .* is a directory/, break: (c) => { rmSync(c.bundle.configPath); mkdirSync(c.bundle.configPath); } },
  { what: "config.json is a FIFO that nobody writes to", words: /config\.json: .* not a regular file/, break: (c) => { rmSync(c.bundle.configPath); execFileSync("mkfifo", [c.bundle.configPath]); } },
  { what: "config.json is a device", words: /config\.json: .* not a regular file/, break: (c) => { rmSync(c.bundle.configPath); symlinkSync("/dev/zero", c.bundle.configPath); } },
  { what: "config.json is a link to nowhere", words: /config\.json: there is none/, break: (c) => { rmSync(c.bundle.configPath); symlinkSync("nowhere", c.bundle.configPath); } },
  { what: "config.json has 100 MB", words: /config\.json: .* has 104857600 bytes/, break: (c) => execFileSync("truncate", ["-s", "100M", c.bundle.configPath]) },
  { what: "config.json is not UTF-8", words: /config\.json: .* not valid UTF-8/, break: (c) => replaceConfig(c, Buffer.from([...Buffer.from('{"ociVersion":"1.0.2","x":"'), 0xff, 0xfe, ...Buffer.from('"}')])) },
  { what: "config.json is nested 200,000 deep where a string belongs", words: /config\.json: ociVersion/, break: (c) => replaceConfig(c, `{"ociVersion":${deep(200_000)}}`) },
  { what: "config.json is nested 200,000 deep where an object belongs", words: /config\.json: /, break: (c) => replaceConfig(c, `{"ociVersion":"1.0.2","root":${deep(200_000)}}`) },
  { what: "config.json ends early, after line ends", words: /config\.json: is not valid JSON/, break: (c) => replaceConfig(c, '{\n"ociVersion":\n\n"1.0') },
  { what: "the root file system is a link to nowhere", words: /root\.path: .*rootfs does not exist/, break: (c) => { rmSync(c.rootfs, { recursive: true }); symlinkSync("nowhere", c.rootfs); } },
  { what: "the root file system is a FIFO", words: /root\.path: .* not a directory/, break: (c) => { rmSync(c.rootfs, { recursive: true }); execFileSync("mkfifo", [c.rootfs]); } },
  { what: "the root file system is a loop of links", words: /root\.path: /, break: (c) => { rmSync(c.rootfs, { recursive: true }); symlinkSync("rootfs", c.rootfs); } },
];

const terminal = (c: Container): void => { c.spec.process!.terminal = true; c.bundle.write(); };
const socketFlag = (path: string): CommandOptions => ({ flags: ["--console-socket", path] });

const flags: Bad[] = [
  { what: "a terminal, and no console socket", words: /--console-socket/, break: terminal },
  { what: "a console socket, and no terminal", words: /--console-socket .*terminal/, break: () => {}, options: () => socketFlag("/nowhere") },
  { what: "a console socket that does not exist", words: /console socket: connect .*no such file/, break: terminal, options: (c) => socketFlag(c.bundle.path("nowhere")) },
  { what: "a console socket that is a file", words: /console socket: connect .*refused/, break: (c) => { terminal(c); writeFileSync(c.bundle.path("file"), ""); }, options: (c) => socketFlag(c.bundle.path("file")) },
  { what: "a console socket whose path is too long for one", words: /console socket: .*too long/, break: terminal, options: (c) => socketFlag(c.bundle.path("x".repeat(120))) },
  { what: "an empty console socket", words: /console socket/, break: terminal, options: () => socketFlag("") },
  { what: "more descriptors to preserve than there are", words: /--preserve-fds/, break: () => {}, options: () => ({ flags: ["--preserve-fds", "1000"] }) },
  { what: "a number of descriptors that is none", words: /--preserve-fds/, break: () => {}, options: () => ({ flags: ["--preserve-fds", "three"] }) },
  { what: "a pid file in a directory that does not exist", words: /pid file: open .*no such file/, break: () => {}, options: () => ({ flags: ["--pid-file", "/no/such/dir/pid"] }) },
  { what: "a pid file that is a directory", words: /pid file: rename /, break: (c) => mkdirSync(c.bundle.path("taken")), options: (c) => ({ flags: ["--pid-file", c.bundle.path("taken")] }) },
  { what: "a flag that does not exist", words: /--nosuch/, break: () => {}, options: () => ({ flags: ["--nosuch"] }) },
];

for (const [area, list] of [["files", files], ["flags", flags]] as const) {
  describe(`create refuses: ${area}`, () => {
    for (const bad of list) {
      test(bad.what, async () => {
        await using c = make();
        bad.break(c);
        const result = await c.create(bad.options?.(c) ?? {});
        expectOneLine(result, 1);
        expect(result.stderr).toMatch(bad.words);
        await c.expectNothingLeft();
      });
    }
  });
}

describe("ids", () => {
  const bad = ["", ".", "..", "a/b", "../x", "a b", "a\nb", "é", "a\tb", "x".repeat(1025), "a:b", "~", "a*"];
  for (const command of ["create", "start", "state", "kill", "delete", "exec", "run", "ps", "pause", "update", "events"]) {
    test(`${command} refuses what is none`, async () => {
      await using c = make();
      for (const id of bad) {
        const words = command === "exec" ? [id, "true"] : [id];
        const result = await c.call(command, ["--", ...words], { flags: ["create", "run"].includes(command) ? ["--bundle", c.bundle.dir] : [] }).result();
        expectOneLine(result, command === "exec" ? 255 : 1);
        expect(result.stderr, JSON.stringify(id)).toMatch(/container id/);
        await c.expectNothingLeft();
      }
    });
  }

  test("one that is longer than a file name may be", async () => {
    await using c = make();
    const result = await c.call("create", ["x".repeat(300)], { flags: ["--bundle", c.bundle.dir] }).result();
    expectOneLine(result, 1);
    expect(result.stderr).toMatch(/name too long/);
    await c.expectNothingLeft();
  });
});

describe("names that are allowed", () => {
  test("a bundle with spaces, quotes and line ends in its path works, and an error about it is one line", async () => {
    await using c = make({ args: ["cat", "/etc/hostname"] });
    const odd = c.bundle.path(`a bundle "of"\n'odd' names\\`);
    mkdirSync(odd);
    renameSync(c.rootfs, `${odd}/rootfs`);
    renameSync(c.bundle.configPath, `${odd}/config.json`);
    const run = await c.call("run", [c.id], { flags: ["--bundle", odd] }).result();
    expect(run).toMatchObject({ code: 0, stdout: "rootfs\n", stderr: "" });
    rmSync(`${odd}/rootfs`, { recursive: true });
    const result = await c.call("create", [c.id], { flags: ["--bundle", odd] }).result();
    expectOneLine(result, 1);
    expect(result.stderr).toMatch(/root\.path/);
    await c.expectNothingLeft();
  });
});

describe("exec refuses", () => {
  test("what is no process, with 255, and the container goes on", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const file = c.bundle.path("process.json");
    const process = { cwd: "/", user: { uid: 0, gid: 0 }, args: ["true"] };
    const cases: [string, () => void, RegExp][] = [
      ["missing", () => {}, /process: open .*no such file/],
      ["a directory", () => mkdirSync(file), /--process: .* is a directory/],
      ["a FIFO", () => execFileSync("mkfifo", [file]), /--process: .* not a regular file/],
      ["empty", () => writeFileSync(file, ""), /process\.json/],
      ["not UTF-8", () => writeFileSync(file, Buffer.from([0xff])), /--process: .* not valid UTF-8/],
      ["an array", () => writeFileSync(file, "[]"), /process\.json/],
      ["without args", () => writeFileSync(file, JSON.stringify({ ...process, args: undefined })), /process\.json: args/],
      ["with a relative cwd", () => writeFileSync(file, JSON.stringify({ ...process, cwd: "tmp" })), /process\.json: cwd/],
      ["of a program that does not exist", () => writeFileSync(file, JSON.stringify({ ...process, args: ["/nosuch"] })), /no such file or directory/],
      ["in a directory that does not exist", () => writeFileSync(file, JSON.stringify({ ...process, cwd: "/nosuch" })), /working directory: chdir \/nosuch/],
    ];
    for (const [what, prepare, words] of cases) {
      rmSync(file, { recursive: true, force: true });
      prepare();
      const result = await c.call("exec", [c.id], { flags: ["--process", file] }).result();
      expectOneLine(result, 255);
      expect(result.stderr, what).toMatch(words);
    }
    for (const [words, pattern] of [[[], /give a command/], [["--user", "nobody", c.id, "true"], /--user/], [["--tty", "--detach", c.id, "true"], /--console-socket/]] as const) {
      const result = await c.call("exec", words.length === 0 ? [c.id] : words).result();
      expectOneLine(result, 255);
      expect(result.stderr).toMatch(pattern);
    }
    expect(await c.status()).toBe("running");
    expect((await c.delete("--force")).code).toBe(0);
    await c.expectNothingLeft();
  });

  test("a console socket that closes at once", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const path = c.bundle.path("closing.sock");
    const server = createServer((connection) => connection.destroy());
    await new Promise<void>((done) => server.listen(path, done));
    const result = await c.call("exec", [c.id, "true"], { flags: ["--tty", "--detach", "--console-socket", path] }).result();
    server.close();
    if (result.code !== 0) expectOneLine(result, 255);
    expect((await c.delete("--force")).code).toBe(0);
    await c.expectNothingLeft();
  });
});

describe("update refuses", () => {
  test("what are no resources, and the container goes on", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const file = c.bundle.path("resources.json");
    const cases: [string[], RegExp][] = [
      [["--resources", c.bundle.path("nowhere")], /no such file/],
      [["--resources", file], /resources\.json/],
      [["--memory", "lots"], /--memory/],
      [["--pids-limit", "x"], /whole number/],
    ];
    writeFileSync(file, "{");
    for (const [words, pattern] of cases) {
      const result = await c.call("update", [...words, c.id]).result();
      expectOneLine(result, 1);
      expect(result.stderr).toMatch(pattern);
    }
    expect(await c.status()).toBe("running");
  });
});
