import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ensurePackages } from "../../packages.ts";
import { until } from "../../support/until.ts";
import { binary, describeCallers, describeRoot, processesWith, Running, traces, type Scene } from "./support.ts";

let counter = 0;
/** An argument for sleep(1) by which its process is found on the host. */
const uniqueSeconds = () => `${1000 + (process.pid % 1000)}.${++counter}`;

/** Starts a program that sleeps, and waits until it does. */
async function sleeping(scene: Scene, script: (seconds: string) => string, flags: readonly string[] = []) {
  const seconds = uniqueSeconds();
  const running = scene.start(["sh", "-c", script(seconds)], { flags });
  await until("the sleep", () => processesWith(seconds).length > 0, 10_000);
  return { running, seconds };
}

describeCallers("do: signals", (scene) => {
  for (const [signal, code] of [["SIGTERM", 143], ["SIGINT", 130], ["SIGHUP", 129], ["SIGQUIT", 131], ["SIGUSR1", 138]] as const) {
    test(`${signal} ends a program that does not handle it, and what it waits for`, async () => {
      const { running, seconds } = await sleeping(scene(), (s) => `sleep ${s}; echo not reached`);
      running.child.kill(signal);
      expect(await running.result).toMatchObject({ code, stdout: "" });
      expect(processesWith(seconds)).toEqual([]);
    });
  }

  test("a program that handles it goes on", async () => {
    const running = scene().start(["sh", "-c", "trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.05; done"]);
    await running.said(/ready/);
    running.child.kill("SIGTERM");
    expect(await running.result).toMatchObject({ code: 3, stdout: "ready\ngot it\n" });
  });

  for (const [first, second] of [["SIGINT", "SIGINT"], ["SIGTERM", "SIGTERM"], ["SIGTERM", "SIGINT"]] as const) {
    test(`${second} kills a program that has handled ${first} and goes on, unless both come at once`, async () => {
      const { running, seconds } = await sleeping(scene(), (s) => `trap 'echo told' INT TERM; echo ready; while :; do sleep ${s} & wait $!; done`);
      running.child.kill(first);
      running.child.kill(second);
      await running.said(/told/);
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(processesWith(seconds)).not.toEqual([]);
      running.child.kill(second);
      expect(await running.result).toMatchObject({ code: 137 });
      expect(processesWith(seconds)).toEqual([]);
    });
  }

  test("a stopped program goes on by SIGCONT", async () => {
    const running = scene().start(["sh", "-c", "echo ready; i=0; while [ $i -lt 30 ]; do sleep 0.05; i=$((i+1)); done; echo done"]);
    await running.said(/ready/);
    running.child.kill("SIGTSTP");
    await new Promise((resolve) => setTimeout(resolve, 2000));
    expect(running.stdout).toBe("ready\n");
    running.child.kill("SIGCONT");
    expect(await running.result).toMatchObject({ code: 0, stdout: "ready\ndone\n" });
  });

  test("the sandbox ends with its runtime, and what that left is removed by the next one", async () => {
    const { running, seconds } = await sleeping(scene(), (s) => `trap '' TERM HUP INT; setsid sleep ${s} & sleep ${s}`);
    const own = (trace: string) => trace.includes(`do-${running.pid}-`);
    expect(traces().some(own)).toBe(true);
    running.child.kill("SIGKILL");
    await until("the end of the sandbox", () => processesWith(seconds).length === 0);
    await scene().must("true");
    expect(traces().filter(own)).toEqual([]);
  });

  test("killed at any moment of its start it leaves no process", async () => {
    const seconds = uniqueSeconds();
    for (const delay of [40, 60, 80, 90, 100, 110, 120, 140, 160, 200]) {
      const running = scene().start(["sleep", seconds]);
      await new Promise((resolve) => setTimeout(resolve, delay));
      running.child.kill("SIGKILL");
      await running.result;
    }
    await until("the end of all sandboxes", () => processesWith(seconds).length === 0);
    await scene().must("true");
  });
});

describeCallers("do: --timeout", (scene) => {
  test("124, by SIGTERM first", async () => {
    const started = performance.now();
    const result = await scene().sh("trap 'echo told; exit 0' TERM; while :; do sleep 0.05; done", { flags: ["--timeout", "500ms"] });
    expect(result).toMatchObject({ code: 124, stdout: "told\n" });
    expect(performance.now() - started).toBeGreaterThan(500);
  });

  test("by SIGKILL for who does not listen", async () => {
    const started = performance.now();
    expect(await scene().sh("trap '' TERM; while :; do sleep 0.1; done", { flags: ["--timeout", "200ms"] })).toMatchObject({ code: 124 });
    expect(performance.now() - started).toBeGreaterThan(5000);
    expect(performance.now() - started).toBeLessThan(25_000);
  });

  test("nothing where the program is done before", async () => {
    const started = performance.now();
    expect((await scene().sh("exit 9", { flags: ["--timeout", "1h"] })).code).toBe(9);
    expect(performance.now() - started).toBeLessThan(25_000);
  });
});

/** Runs `do` on a terminal of its own. */
function onTerminal(scene: Scene, command: string): Running {
  const inner = `stty rows 31 cols 97; ${binary} do -- ${command}; echo "[code $?]"`;
  return new Running(scene.caller, ["sh", "-c", `SHELL=/bin/sh exec script -qec '${inner}' /dev/null`], scene.directory, { input: null });
}

const PROMPT = "[#$] $";
/** In quotes, so that what is typed does not look like what is written. */
const BEGIN = (seconds: number) => `sh -c "echo be''gun; exec sleep ${seconds}"`;

describeCallers("do: a terminal", (scene) => {
  test("is one inside as well, with the size, and nobody else's", async () => {
    await ensurePackages(["bsdutils"]);
    const { stdout } = await onTerminal(scene(), 'sh -c "tty; stty size; test -t 0 -a -t 1 -a -t 2 && echo all; exit 4"').result;
    expect(stdout.replaceAll("\r", "")).toContain("/dev/pts/0\n31 97\nall\n[code 4]");
  });

  test("Ctrl-C interrupts the command in the foreground, not the shell; Ctrl-Z stops it", async () => {
    const { stdout } = await onTerminal(scene(), "bash --norc -i").converse([
      [new RegExp(PROMPT), `${BEGIN(44)}\n`],
      [/begun\r\n$/, "\x03"],
      [new RegExp(PROMPT), "echo after-$?\n"],
      [new RegExp(`after-130[^]*${PROMPT}`), `${BEGIN(45)}\n`],
      [/begun\r\n$/, "\x1a"],
      [new RegExp(`Stopped[^]*${PROMPT}`), "jobs\n"],
      [new RegExp(`Stopped +sh -c [^]*sleep 45[^]*${PROMPT}`), "exit 6\n"],
    ]);
    expect(stdout).toContain("[code 6]");
  });

  test("Ctrl-C ends a plain program", async () => {
    const { stdout } = await onTerminal(scene(), 'sh -c "echo begun; exec sleep 40"').converse([[/begun\r\n$/, "\x03"]]);
    expect(stdout).toContain("[code 130]");
  });

  test("has its settings back afterwards, also where the program is killed", async () => {
    const inner = `before=$(stty -g); ${binary} do -- sh -c "stty raw -echo; kill -9 \\$\\$"; test "$before" = "$(stty -g)" && echo same`;
    const { stdout } = await new Running(scene().caller, ["sh", "-c", `SHELL=/bin/sh script -qec '${inner}' /dev/null`], scene().directory, {}).result;
    expect(stdout).toContain("same");
  });

  test("is not given where standard output is a pipe", async () => {
    const inner = `${binary} do -- sh -c "test -t 1 || echo pipe; tty >/dev/null && echo stdin; (echo x > /dev/tty) 2>/dev/null || echo none" | cat`;
    const { stdout } = await new Running(scene().caller, ["sh", "-c", `SHELL=/bin/sh script -qec '${inner}' /dev/null`], scene().directory, {}).result;
    expect(stdout.replaceAll("\r", "")).toContain("pipe\n");
    expect(stdout.replaceAll("\r", "")).toContain("none\n");
  });
});

describeRoot("do: limits", (scene) => {
  test("--memory: a program that takes more is killed", async () => {
    const program = "import sys; x = bytearray(int(sys.argv[1]) << 20); print(len(x) >> 20)";
    const options = { flags: ["--memory", "64m"] };
    expect(await scene().run(["python3", "-c", program, "20"], options)).toMatchObject({ code: 0, stdout: "20\n" });
    expect(await scene().run(["python3", "-c", program, "200"], options)).toMatchObject({ code: 137, stdout: "" });
  });

  test("--memory: what is written to the throw-away layer counts", async () => {
    const result = await scene().sh("head -c 200000000 /dev/zero > /tmp/big || stat -c %s /tmp/big", { flags: ["--memory", "64m"] });
    expect(result.stderr).toContain("No space left on device");
    expect(Number(result.stdout)).toBeGreaterThan(16 << 20);
    expect(Number(result.stdout)).toBeLessThan(64 << 20);
  });

  test("--cpus: a busy program gets no more", async () => {
    const program = "import time; e = time.monotonic() + 2\nwhile time.monotonic() < e: pass\nprint(time.process_time())";
    const { stdout } = await scene().run(["python3", "-c", program], { flags: ["--cpus", "0.2"] });
    expect(Number(stdout)).toBeGreaterThan(0);
    expect(Number(stdout)).toBeLessThan(0.8);
  });

  test("the sandbox is in cgroups of its own, which it does not see", async () => {
    const { running, seconds } = await sleeping(scene(), (s) => `cat /proc/self/cgroup; sleep ${s}`);
    await running.said(/:\//);
    const [pid] = processesWith(seconds);
    expect(readFileSync(`/proc/${pid}/cgroup`, "utf8")).toMatch(new RegExp(`:pids:.*/do-${running.pid}-|^0::.*/do-${running.pid}-`, "m"));
    running.child.kill("SIGTERM");
    expect((await running.result).stdout).not.toContain("do-");
  });
});

const FORKS = "import os, time\nn = 0\ntry:\n    while n < 3000:\n        if os.fork() == 0: time.sleep(300); os._exit(0)\n        n += 1\nexcept OSError as e: print(n, e.errno)";

describeCallers("do: a fork bomb", (scene) => {
  test("is bounded by --pids", async () => {
    const [forks, errno] = (await scene().run(["python3", "-c", FORKS], { flags: ["--pids", "40"] })).stdout.trim().split(" ").map(Number);
    expect(errno).toBe(11);
    expect(forks).toBeGreaterThan(30);
    expect(forks).toBeLessThan(40);
  });

  test("is bounded without being asked, and the sandbox ends at once", async () => {
    const started = performance.now();
    const [forks, errno] = (await scene().run(["python3", "-c", FORKS])).stdout.trim().split(" ").map(Number);
    expect(errno).toBe(11);
    expect(forks).toBeGreaterThan(1000);
    expect(forks).toBeLessThan(1024);
    expect(performance.now() - started).toBeLessThan(60_000);
  });
});

test("do: a limit that an ordinary user cannot have enforced is refused, not ignored", () => {
  const directory = mkdtempSync(join(tmpdir(), "tss-do-"));
  try {
    for (const [flag, value] of [["--memory", "64m"], ["--cpus", "0.5"]] as const) {
      const line = ["--reuid", "12345", "--regid", "12345", "--clear-groups", binary, "--root", join(directory, "state"), "do", flag, value, "--", "echo", "ran"];
      execFileSync("chown", ["12345:12345", directory]);
      let failure: { status: number; stdout: string; stderr: string } | undefined;
      try {
        execFileSync("setpriv", line, { cwd: directory, env: { ...process.env, TSSANDBOX_MODE: "namespace" }, encoding: "utf8", stdio: "pipe" });
      } catch (error) {
        failure = error as { status: number; stdout: string; stderr: string };
      }
      expect(failure).toMatchObject({ status: 125, stdout: "" });
      expect(failure?.stderr).toMatch(new RegExp(`^tssandbox: .*${flag.slice(2, 5)}.*\n$`));
      expect(existsSync(join(directory, "state", "do"))).toBe(false);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
