import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { isAlive } from "../../support/host.ts";
import { Listener } from "../../support/listener.ts";
import { parseProbe } from "../../support/probe.ts";
import { runRuntime } from "../../support/runtime.ts";
import type { Spec } from "../../support/spec.ts";
import { until } from "../../support/until.ts";

type Received = { data: string; fds: number; isMaster: boolean; number: number; rows: number; columns: number };
const withTerminal = (spec: Spec) => {
  spec.process!.terminal = true;
};
/** What the listener printed about the message, once it has come. */
const received = async (listener: Listener) => JSON.parse((await listener.matching(/^\{.*\}$/m))[0]) as Received;

describeRuntime("console socket", ({ test, make }) => {
  test("one message with the pty's master and its name", async () => {
    await using c = make({ args: ["sleep", "100"], edit: withTerminal });
    await using listener = await Listener.start("console", c.bundle.path("s"));
    await c.mustCreate({ flags: ["--console-socket", listener.socket] });
    const message = await received(listener);
    expect(message).toMatchObject({ fds: 1, isMaster: true });
    expect(message.data).toMatch(/pts|ptmx|console/);
  });

  test("the slave is standard input, output and error, the controlling terminal and /dev/console; the process leads its session", async () => {
    await using c = make({ args: ["/probe", "--to", "/tmp/probe", "--hold"], edit: withTerminal });
    await using listener = await Listener.start("console", c.bundle.path("s"));
    await c.mustBegin({ flags: ["--console-socket", listener.socket] });
    const probe = parseProbe(await until("the probe", () => { try { const text = c.bundle.read("tmp/probe"); return text.endsWith("\n") && text; } catch { return false; } }));
    expect(probe.ttys.map(({ fd }) => fd)).toEqual([0, 1, 2]);
    expect(new Set(probe.ttys.map(({ name }) => name)).size).toBe(1);
    expect(probe).toMatchObject({ controllingTty: true, sid: probe.pid, pgid: probe.pid });
    expect(probe.ttys[0]?.foreground).toBe(probe.pid);
    expect(probe.fds.map(({ fd }) => fd)).toEqual([0, 1, 2]);
    expect(await c.mustExec(["sh", "-c", "stat -c %t:%T /dev/console; stat -c %t:%T /dev/pts/0"])).toBe("88:0\n88:0\n");
  });

  test("consoleSize is the window size from the start", async () => {
    await using c = make({ args: ["stty", "size"], edit: (spec) => { withTerminal(spec); spec.process!.consoleSize = { height: 33, width: 77 }; } });
    await using listener = await Listener.start("console", c.bundle.path("s"));
    await c.mustBegin({ flags: ["--console-socket", listener.socket] });
    expect(await received(listener)).toMatchObject({ rows: 33, columns: 77 });
    await listener.matching(/^33 77\r$/m);
  });

  test("typing, echo, output and the interrupt key work", async () => {
    await using c = make({ args: ["sh", "-c", "trap 'echo interrupted' INT; read line; echo got $line; while :; do sleep 0.05; done"], edit: withTerminal });
    await using listener = await Listener.start("console", c.bundle.path("s"), "40", "100");
    await c.mustBegin({ flags: ["--console-socket", listener.socket] });
    await received(listener);
    listener.type("hello\n");
    await listener.matching(/got hello\r\n/);
    listener.type("\x03");
    await listener.matching(/interrupted\r\n/);
  });

  test("the terminal belongs to the container's user and opens by name", async () => {
    await using c = make({ args: ["sh", "-c", "stat -c 'owner %u:%g' /dev/pts/0; echo through the name > /dev/pts/0; echo by dev tty > /dev/tty"], edit: (spec) => { withTerminal(spec); spec.process!.user = { uid: 1000, gid: 1000 }; } });
    await using listener = await Listener.start("console", c.bundle.path("s"));
    await c.mustBegin({ flags: ["--console-socket", listener.socket] });
    await listener.matching(/owner 1000:5\r/);
    await listener.matching(/through the name\r/);
    await listener.matching(/by dev tty\r/);
  });

  test("in a user namespace too", async () => {
    await using c = make({ args: ["sh", "-c", "tty; echo by name > /dev/pts/0"], edit: (spec) => {
      withTerminal(spec);
      spec.linux.namespaces.push({ type: "user" });
      spec.linux.uidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
      spec.linux.gidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    } });
    await using listener = await Listener.start("console", c.bundle.path("s"));
    await c.mustBegin({ flags: ["--console-socket", listener.socket] });
    await listener.matching(/\/dev\/(pts\/0|console)\r/);
    await listener.matching(/by name\r/);
  });

  test("the container's end closes the terminal, and exec --tty gets one of its own", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    await using listener = await Listener.start("console", c.bundle.path("s"));
    const pidFile = c.bundle.path("exec.pid");
    const result = await c.exec(["sh", "-c", "tty; id -u"], { flags: ["--tty", "--detach", "--console-socket", listener.socket, "--pid-file", pidFile] });
    expect(result.code, result.stderr).toBe(0);
    expect(await received(listener)).toMatchObject({ fds: 1, isMaster: true });
    await listener.matching(/\/dev\/pts\/0\r\n0\r\n/);
    const pid = Number(readFileSync(pidFile, "utf8"));
    await until("the exec to end", () => !isAlive(pid));
  });

  test("a process document with terminal and consoleSize", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    await using listener = await Listener.start("console", c.bundle.path("s"));
    const result = await c.exec([], { flags: ["--detach", "--console-socket", listener.socket], process: { args: ["sh", "-c", "stty size; sleep 0.2"], terminal: true, consoleSize: { height: 12, width: 34 } } });
    expect(result.code, result.stderr).toBe(0);
    await listener.matching(/12 34\r\n/);
  });

  test("a detached terminal without a socket is an error and leaves nothing", async () => {
    await using c = make({ edit: withTerminal });
    for (const result of [await c.create(), await c.run({ flags: ["--detach"] })]) {
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(/console.socket|terminal|tty/i);
    }
    await c.expectNothingLeft();
  });

  test("a socket without a terminal is an error and leaves nothing", async () => {
    await using c = make();
    await using listener = await Listener.start("console", c.bundle.path("s"));
    const result = await c.create({ flags: ["--console-socket", listener.socket] });
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/console.socket|terminal|tty/i);
    await c.expectNothingLeft();
  });

  test("a socket that nobody listens on is an error that names it, and leaves nothing", async () => {
    await using c = make({ edit: withTerminal });
    const result = await c.create({ flags: ["--console-socket", c.bundle.path("nobody")] });
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/nobody/);
    await c.expectNothingLeft();
  });
});

/** util-linux script(1): a pty whose slave is the runtime's terminal. */
const onTerminalAsIs = async (command: readonly string[]) => await runRuntime(["script", "-qec", command.map((word) => `"${word}"`).join(" "), "/dev/null"]);

/** Its output with the carriage returns taken out. */
const onTerminal = async (command: readonly string[]) => {
  const result = await onTerminalAsIs(command);
  return { ...result, stdout: result.stdout.replaceAll("\r", "") };
};

describeRuntime("terminal of a foreground run", ({ test, make }) => {
  test("run copies between the caller's terminal and the container's, and passes the code on", async () => {
    await using c = make({ args: ["sh", "-c", "tty; exit 5"], edit: withTerminal });
    const result = await onTerminal([c.runtime.path, "--root", c.stateRoot, "run", "--bundle", c.bundle.dir, c.id]);
    expect(result.stdout).toMatch(/\/dev\/(pts\/0|console)\n/);
    expect(result.code).toBe(5);
    await c.expectNothingLeft();
  });

  test("what the container writes arrives with one carriage return, and the caller's terminal has its settings back", async () => {
    await using c = make({ args: ["printf", "one\\ntwo\\n"], edit: withTerminal });
    const line = [c.runtime.path, "--root", c.stateRoot, "run", "--bundle", c.bundle.dir, c.id].join(" ");
    // script(1) types the end of its own input, which the terminal echoes wherever it comes.
    expect((await onTerminalAsIs(["sh", "-c", `stty -g; ${line}; stty -g`])).stdout.replace("^@", "")).toMatch(/^(\S+)\r\none\r\ntwo\r\n\1\r\n$/);
  });

  test("exec --tty does the same", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin();
    const result = await onTerminal([c.runtime.path, "--root", c.stateRoot, "exec", "--tty", c.id, "sh", "-c", "tty; exit 6"]);
    expect(result.stdout).toMatch(/\/dev\/pts\/0\n/);
    expect(result.code).toBe(6);
  });

  test("without a terminal of its own the container cannot push input into the caller's (TIOCSTI)", async () => {
    await using c = make({ args: ["/tool", "tiocsti"] });
    const result = await onTerminal([c.runtime.path, "--root", c.stateRoot, "run", "--bundle", c.bundle.dir, c.id]);
    expect(result.stdout).toMatch(/errno \d+ (EPERM|EIO|ENOTTY)/);
  });

  test("nor can it when it is detached and has the caller's terminal as its standard input", async () => {
    await using c = make({ args: ["sh", "-c", "test -t 0 && /tool tiocsti > /tmp/answer"] });
    const line = [c.runtime.path, "--root", c.stateRoot, "run", "--detach", "--bundle", c.bundle.dir, c.id].join(" ");
    await onTerminal(["sh", "-c", `${line}; for i in 1 2 3 4 5 6 7 8 9 10; do test -s ${c.rootfs}/tmp/answer && break; sleep 0.1; done`]);
    expect(c.bundle.read("tmp/answer")).toMatch(/errno \d+ (EPERM|EIO)/);
  });

  test("the caller's terminal is not the container's controlling terminal", async () => {
    await using c = make({ args: ["/probe"] });
    const result = await onTerminal([c.runtime.path, "--root", c.stateRoot, "run", "--bundle", c.bundle.dir, c.id]);
    expect(parseProbe(result.stdout)).toMatchObject({ controllingTty: false, sid: 1 });
  });
});
