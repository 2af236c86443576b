import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BUSYBOX, DEBIAN } from "./images.ts";
import { Podman } from "./podman.ts";
import { RUNTIME } from "./support.ts";

let podman: Podman;
beforeAll(async () => {
  podman = await Podman.start("run", [BUSYBOX, DEBIAN], { mode: "namespace" });
});
afterAll(async () => podman?.[Symbol.asyncDispose]());

/** `podman run --rm` of a command that may fail. */
const run = (...args: string[]) => podman.podman("run", "--rm", ...args);

const inDebian = (...command: string[]) => podman.ok("run", "--rm", DEBIAN.name, ...command);

test("the runtime under test is the one that podman uses", async () => {
  expect(await podman.ok("info", "--format", "{{.Host.OCIRuntime.Path}}")).toBe(RUNTIME);
  const version = await podman.ok("info", "--format", "{{.Host.OCIRuntime.Version}}");
  expect(version).toMatch(/version \S+/);
  expect(version).toMatch(/spec: \d+\.\d+/);
});

describe("exit codes", () => {
  test.each([0, 3, 255])("the command's own: %i", async (code) => {
    expect((await run(BUSYBOX.name, "sh", "-c", `exit ${code}`)).code).toBe(code);
  });

  test.each([["KILL", 137], ["TERM", 143]])("a command killed by SIG%s", async (signal, code) => {
    // Signals that pid 1 has no handler for are dropped, but not those from an ancestor pid namespace.
    expect((await run("--pid", "host", BUSYBOX.name, "sh", "-c", `kill -${signal} $$`)).code).toBe(code);
  });

  test("127 for a command that is not there", async () => {
    const missing = await run(BUSYBOX.name, "no-such-command");
    expect(missing).toMatchObject({ code: 127, stdout: "" });
    expect(missing.stderr).toContain("no-such-command");
    expect((await run(BUSYBOX.name, "/no/such/path")).code).toBe(127);
  });

  test("126 for a command that may not run", async () => {
    expect((await run(BUSYBOX.name, "/etc")).code).toBe(126);
    expect((await run(BUSYBOX.name, "/etc/passwd")).code).toBe(126);
  });

  test("a failed create leaves nothing", async () => {
    await run("--name", "failed", BUSYBOX.name, "no-such-command");
    expect(await podman.ok("ps", "--all", "--quiet")).toBe("");
    await podman.expectNothingLeft();
  });
});

describe("streams", () => {
  test("stdout and stderr stay apart", async () => {
    const both = await run(BUSYBOX.name, "sh", "-c", "echo out; echo err >&2");
    expect(both).toMatchObject({ code: 0, stdout: "out\n", stderr: "err\n" });
  });

  test("stdin reaches the command, its end too", async () => {
    const input = "0123456789\n".repeat(20_000);
    const argv = podman.argv("run", "--rm", "--interactive", BUSYBOX.name, "sha256sum");
    const [inside, outside] = await Promise.all([podman.call(argv, { input }), podman.call(["sha256sum"], { input })]);
    expect(inside).toEqual(outside);
  });

  test("without --interactive stdin is empty", async () => {
    expect(await podman.sh([], "wc -c")).toBe("0");
  });
});

describe("terminal", () => {
  test("is one, with the size of the caller's", async () => {
    // The engine sets the size while the command is starting.
    const script = "tty; until stty size 2>/dev/null | grep .; do sleep 0.1; done; test -t 0 && test -t 1 && test -t 2 && echo all three";
    const done = await podman.inTerminal(["run", "--rm", "-it", BUSYBOX.name, "sh", "-c", script], { rows: 41, columns: 97 });
    expect(done.stdout.split("\r\n")).toEqual(["/dev/pts/0", "41 97", "all three", ""]);
    expect(done.code).toBe(0);
  });

  test("takes input, passes the exit code on", async () => {
    const dialogue = [[/name\? /, "guest\n"], [/hello guest\r\n/, "exit 7\n"]] as const;
    const script = "printf 'name? '; read name; echo hello $name; read last; eval $last";
    const done = await podman.inTerminal(["run", "--rm", "-it", BUSYBOX.name, "sh", "-c", script], { dialogue });
    expect(done.code).toBe(7);
  });

  test("is the controlling one: Ctrl-C interrupts, /dev/tty and /dev/console work", async () => {
    const script = "trap 'echo caught; exit 9' INT; echo to-tty >/dev/tty; echo to-console >/dev/console; while :; do sleep 0.1; done";
    const dialogue = [[/to-console/, "\u0003"]] as const;
    const done = await podman.inTerminal(["run", "--rm", "-it", BUSYBOX.name, "sh", "-c", script], { dialogue });
    expect(done.stdout).toMatch(/to-tty\r\nto-console\r\n(\^C)?caught\r\n/);
    expect(done.code).toBe(9);
  });

  test("belongs to the container's user", async () => {
    const done = await podman.inTerminal(["run", "--rm", "-it", "--user", "1234", BUSYBOX.name, "sh", "-c", "stat -c %u $(tty); echo x >$(tty)"]);
    expect(done.stdout).toBe("1234\r\nx\r\n");
  });
});

describe("Debian", () => {
  test("bash, coreutils, dpkg and apt run", async () => {
    expect(await inDebian("bash", "-c", "echo $BASH_VERSION; ls /")).toMatch(/^5\..*\n(.*\n)*bin\n(.*\n)*usr\n/);
    expect(await inDebian("dpkg-query", "--show", "bash", "libc6")).toMatch(/^bash\s.*\nlibc6(:\w+)?\s/);
    expect(await inDebian("apt-get", "--version")).toMatch(/^apt 2\.6/);
  });

  test("a package can be built and installed", async () => {
    const script = `mkdir -p /p/DEBIAN /p/opt && printf 'Package: probe\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n' >/p/DEBIAN/control
      echo installed >/p/opt/probe && dpkg-deb --build /p /p.deb >/dev/null && dpkg --install /p.deb >/dev/null && cat /opt/probe`;
    expect(await inDebian("bash", "-c", script)).toBe("installed");
  });

  test("bash has job control in a terminal", async () => {
    const dialogue = [[/# $/, "sleep 100 &\n"], [/# $/, "kill %1; wait %1; echo code $?\n"], [/code 143[^]*# $/, "exit 4\n"]] as const;
    const done = await podman.inTerminal(["run", "--rm", "-it", DEBIAN.name, "bash", "--norc"], { dialogue });
    expect(done.stdout).not.toContain("no job control");
    expect(done.code).toBe(4);
  });

  test("python3 is not there", async () => {
    expect((await run(DEBIAN.name, "python3", "--version")).code).toBe(127);
  });
});
