import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { withFuse } from "../../support/user.ts";
import { binary, describeCallers, describeRoot, processesWith, Running, type Scene } from "./support.ts";

const write = (scene: Scene, path: string, text: string, mode = 0o644) => {
  writeFileSync(path, text);
  scene.give(path, mode);
};

describeCallers("do: the command", (scene) => {
  test("its exit code is ours", async () => {
    expect((await scene().sh("exit 7")).code).toBe(7);
    expect((await scene().run(["true"])).code).toBe(0);
  });

  test("a signal's number is added to 128", async () => {
    expect((await scene().sh("kill -9 $$")).code).toBe(137);
    expect((await scene().sh("kill -SEGV $$")).code).toBe(139);
  });

  test("127 for a command that is not there, 126 for one that is none, each with one line", async () => {
    const missing = await scene().run(["no-such-command"]);
    expect(missing).toMatchObject({ code: 127, stderr: 'tssandbox: exec: "no-such-command": executable file not found in $PATH\n' });
    expect((await scene().run(["/no/such/file"])).code).toBe(127);
    const text = await scene().run(["/etc/passwd"]);
    expect(text.code).toBe(126);
    expect(text.stderr).toMatch(/^tssandbox: exec "\/etc\/passwd": permission denied.*\n$/);
  });

  test("125 where the sandbox itself cannot be made", async () => {
    const result = await scene().sh("true", { flags: ["--bind", "/no/such/source"] });
    expect(result).toMatchObject({ code: 125, stderr: "tssandbox: --bind /no/such/source: /no/such/source: ENOENT\n" });
  });

  test("options are refused by name", async () => {
    for (const flags of [["--memory", "much"], ["--cpus", "0"], ["--pids", "0"], ["--timeout", "-1s"], ["--network", "bridge"], ["--hostname", "a b"], ["--user", "me"], ["--nonsense"]]) {
      const result = await scene().sh("true", { flags });
      expect(result.code, flags.join(" ")).toBe(1);
      expect(result.stderr).toContain(flags[0] ?? "");
    }
    expect((await scene().run([])).code).toBe(125);
  });

  test("standard input, output and error are the caller's, each for itself", async () => {
    const result = await scene().sh("cat; echo oops >&2", { input: "from the caller\n" });
    expect(result).toMatchObject({ code: 0, stdout: "from the caller\n", stderr: "oops\n" });
  });

  test("pipes can be opened by name", async () => {
    const pipeline = '{ "$@" 2>&1 1>&3 | sed s/^/error:/; } 3>&1 | cat';
    const line = ["sh", "-c", pipeline, "sh", binary, "do", "--", "sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr"];
    const result = await new Running(scene().caller, line, scene().directory, {}).result;
    expect(result).toMatchObject({ stdout: expect.stringMatching(/^out$/m), stderr: "" });
    expect(result.stdout).toMatch(/^error:err$/m);
  });

  test("a large output arrives whole", async () => {
    const result = await scene().sh("head -c 5000000 /dev/zero | tr '\\0' x");
    expect(result.stdout.length).toBe(5_000_000);
  });

  test("orphans are reaped, and what is left running ends with the command", async () => {
    const started = performance.now();
    const output = await scene().must("(sleep 0.1 & ) ; (sleep 300 </dev/null >/dev/null 2>&1 &) ; sleep 0.4; ps -eo stat,comm | grep -c '^Z' || true");
    expect(output).toBe("0\n");
    expect(performance.now() - started).toBeLessThan(40_000);
  });
});

describeCallers("do: the current directory", (scene) => {
  test("is where the command starts, and read-only", async () => {
    write(scene(), scene().path("private"), "content\n", 0o600);
    expect(await scene().must("pwd; cat private")).toBe(`${scene().directory}\ncontent\n`);
    const result = await scene().sh("touch new");
    expect(result.code).toBe(1);
    expect(result.stderr).toContain("Read-only file system");
    expect(existsSync(scene().path("new"))).toBe(false);
  });

  test("is written to with --rw, as its owner", async () => {
    const directory = scene().make("rw");
    await scene().must("echo written > file; mkdir inner", { flags: ["--rw"], cwd: directory });
    expect(readFileSync(join(directory, "file"), "utf8")).toBe("written\n");
    for (const name of ["file", "inner"]) expect(statSync(join(directory, name))).toMatchObject({ uid: scene().caller.uid, gid: scene().caller.gid });
  });

  test("with --rw only it is writable, not its parent", async () => {
    const directory = scene().make("child");
    const result = await scene().sh("touch ../escaped", { flags: ["--rw"], cwd: directory });
    // The parent is a directory of the sandbox's, if it can be written to at all.
    expect(result.code === 0 || /Read-only|denied/.test(result.stderr)).toBe(true);
    expect(existsSync(scene().path("escaped"))).toBe(false);
  });

  test("no set-user-ID or set-group-ID program can be left in it", async () => {
    const directory = scene().make("setid");
    const script = `cp /bin/true t
      chmod u+s t || echo refused; chmod 2755 t || echo refused
      python3 - <<'P'
import ctypes, os
for attempt in (lambda: os.open("a", os.O_CREAT | os.O_WRONLY, 0o4755), lambda: os.fchmod(os.open("t", os.O_RDONLY), 0o4755), lambda: os.mknod("b", 0o104755)):
    try:
        attempt(); print("made")
    except OSError as error:
        print("refused", error.errno)
how = (ctypes.c_uint64 * 3)(os.O_CREAT | os.O_WRONLY, 0o4755, 0)
libc = ctypes.CDLL(None, use_errno=True)
print("openat2", libc.syscall(437, -100, b"c", how, 24), ctypes.get_errno())
P`;
    const result = await scene().sh(script, { flags: ["--rw"], cwd: directory });
    expect(result.stdout).toBe("refused\nrefused\nrefused 1\nrefused 1\nrefused 1\nopenat2 -1 38\n");
    for (const name of readdirSync(directory)) expect(statSync(join(directory, name)).mode & 0o6000).toBe(0);
  });

  test("may lie in a hidden directory, whose other content stays hidden", async () => {
    const { home } = scene().caller;
    const directory = join(home, `project-${process.pid}`);
    mkdirSync(directory);
    try {
      scene().give(directory, 0o755);
      write(scene(), join(directory, "source"), "text\n");
      expect(await scene().must(`cat source; ls -A ${home}`, { cwd: directory })).toBe(`text\nproject-${process.pid}\n`);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("shows no keys where it is a home", async () => {
    const { home } = scene().caller;
    const names = ["keys", "visible"].map((name) => join(home, `tss-do-${process.pid}-${name}`));
    const key = join(home, ".pgpass");
    expect(existsSync(key), "a real credential would be overwritten").toBe(false);
    try {
      for (const name of names) write(scene(), name, "seen\n");
      write(scene(), key, "SECRET\n");
      const output = await scene().must(`cat ${names.join(" ")}; cat .pgpass`, { cwd: home });
      expect(output).toBe("seen\nseen\n");
    } finally {
      for (const name of [...names, key]) rmSync(name, { force: true });
    }
  });

  test("is left by --cwd, which need not exist", async () => {
    expect(await scene().must("pwd", { flags: ["--cwd", "/usr/share"] })).toBe("/usr/share\n");
    expect(await scene().must("pwd", { flags: ["--cwd", "/tmp/made"] })).toBe("/tmp/made\n");
  });

  test("/ cannot be lent for writing", async () => {
    expect(await scene().sh("true", { flags: ["--rw"], cwd: "/" })).toMatchObject({ code: 125, stderr: expect.stringContaining("--rw") });
    expect(await scene().must("pwd", { cwd: "/" })).toBe("/\n");
  });
});

describeCallers("do: options", (scene) => {
  test("--bind shows a directory or file read-only, elsewhere if asked, writable if asked", async () => {
    const directory = scene().make("lent", 0o700);
    write(scene(), join(directory, "file"), "lent\n", 0o600);
    const elsewhere = { cwd: "/" };
    const same = await scene().sh(`cat ${directory}/file; touch ${directory}/no`, { ...elsewhere, flags: ["--bind", directory] });
    expect(same).toMatchObject({ code: 1, stdout: "lent\n", stderr: expect.stringContaining("Read-only") });
    expect(await scene().must("cat /opt/there/file", { ...elsewhere, flags: ["--bind", `${directory}:/opt/there`] })).toBe("lent\n");
    expect(await scene().must("cat /tmp/one", { ...elsewhere, flags: ["--bind", `${directory}/file:/tmp/one:ro`] })).toBe("lent\n");
    await scene().must("echo new > /srv/w/file", { ...elsewhere, flags: ["--bind", `${directory}:/srv/w:rw`] });
    expect(readFileSync(join(directory, "file"), "utf8")).toBe("new\n");
  });

  test("--bind refuses what is no bind", async () => {
    for (const bind of ["a:b:c:d", ":/x", "/etc:relative", "/etc:/proc/x", "/etc:/"]) {
      expect((await scene().sh("true", { flags: ["--bind", bind] })).code, bind).toBe(125);
    }
  });

  test("the environment is small, and the caller's only where asked", async () => {
    const options = { env: { SECRET_TOKEN: "s3cret", WANTED: "yes" } };
    const names = (await scene().must("env -u _ env | cut -d= -f1 | sort", options)).trim().split("\n");
    expect(names.filter((name) => !["PWD", "SHLVL", "OLDPWD", "_"].includes(name))).toEqual(["HOME", "LANG", "PATH", "TERM"]);
    expect(await scene().must("echo $WANTED $OWN ${SECRET_TOKEN-none} ${MISSING-none}", { ...options, flags: ["--env", "WANTED", "--env", "OWN=a=b", "-e", "MISSING"] })).toBe("yes a=b none none\n");
  });

  test("home is an empty directory of the caller's name", async () => {
    expect(await scene().must("cd; pwd; ls -A; echo x > y; cat y")).toBe(`${scene().caller.home}\nx\n`);
  });

  test("--hostname", async () => {
    expect(await scene().must("hostname")).toBe("sandbox\n");
    expect(await scene().must("hostname", { flags: ["--hostname", "builder"] })).toBe("builder\n");
  });

  test("no network but a loopback of its own, which is up", async () => {
    const script = `ls /proc/sys/net/ipv4/conf; cat /proc/net/route | tail -n +2
      python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); socket.create_connection(s.getsockname()); print("loopback")'
      python3 -c 'import socket; socket.create_connection(("169.254.169.254", 80), 2)' 2>&1 | tail -1`;
    expect(await scene().must(script)).toBe("all\ndefault\nlo\nloopback\nOSError: [Errno 101] Network is unreachable\n");
  });

  test("--network host is the host's", async () => {
    const server = createServer((socket) => socket.end("hello from the host"));
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
    const { port } = server.address() as { port: number };
    const program = `import socket; print(socket.create_connection(("127.0.0.1", ${port}), 2).recv(99).decode())`;
    try {
      expect((await scene().run(["python3", "-c", program])).code).toBe(1);
      expect(await scene().run(["python3", "-c", program], { flags: ["--network", "host"] })).toMatchObject({ code: 0, stdout: "hello from the host\n" });
    } finally {
      server.close();
    }
  });
});

describeCallers("do: privileges", (scene) => {
  test("no capability, no new privileges, a filter, no core files, a sane umask", async () => {
    const output = await scene().must("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -d '\\t '; ulimit -c; umask");
    const none = "0000000000000000";
    expect(output).toBe(`CapInh:${none}\nCapPrm:${none}\nCapEff:${none}\nCapBnd:${none}\nCapAmb:${none}\nNoNewPrivs:1\nSeccomp:2\n0\n0022\n`);
  });

  test("every namespace is its own", async () => {
    const kinds = ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"];
    const host = new Set(kinds.map((kind) => readlinkSync(`/proc/self/ns/${kind}`)));
    const read = async (flags: string[]) => (await scene().must(kinds.map((kind) => `readlink /proc/self/ns/${kind}`).join("; "), { flags })).trim().split("\n");
    expect((await read([])).filter((namespace) => host.has(namespace))).toEqual([]);
    expect((await read(["--network", "host"])).filter((namespace) => host.has(namespace))).toEqual([expect.stringMatching(/^net:/)]);
  });

  test("it cannot mount, make namespaces, trace or stop process 1, or see our command line", async () => {
    const result = await scene().sh(
      `mount -t tmpfs x /mnt 2>/dev/null && echo mounted
       unshare -U true 2>/dev/null && echo namespace
       umount /etc/shadow /tmp 2>/dev/null && echo unmounted
       kill -9 1; kill -STOP 1; sleep 0.1; kill -0 1 || echo killed
       cat /proc/1/environ /proc/1/mem 2>/dev/null | head -c1; ls /proc/1/fd 2>/dev/null; readlink /proc/1/root
       tr '\\0' '|' < /proc/1/cmdline | sed 's/|*$//'`,
      { flags: ["--env", "TOKEN=abc"] },
    );
    expect(result).toMatchObject({ code: 0, stdout: "init" });
  });

  test("descriptors of the runtime's do not reach it", async () => {
    expect(await scene().must("ls /proc/self/fd | tr '\\n' ' '")).toBe("0 1 2 3 ");
  });

  test("device nodes are the harmless ones", async () => {
    expect(await scene().must("cd /dev; ls -d * | tr '\\n' ' '; head -c 3 /dev/zero | wc -c; echo x > /dev/null; echo x > /dev/full 2>/dev/null || echo full")).toBe(
      `fd full ${scene().caller.mode === "sentry" ? "" : "mqueue "}null ptmx pts random shm stderr stdin stdout tty urandom zero 3\nfull\n`,
    );
  });
});

describeRoot("do: ids", (scene) => {
  test("on the host the process is nobody's, inside it has the caller's number, or --user's", async () => {
    const running = scene().start(["sh", "-c", "id -u; id -g; echo ready; sleep 31.4159"]);
    await running.said(/ready/);
    const [pid] = processesWith("31.4159").filter((candidate) => candidate !== running.pid && !readFileSync(`/proc/${candidate}/cmdline`, "latin1").includes("ready"));
    const uid = Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
    expect(uid).toBeGreaterThanOrEqual(0x7000_0000);
    running.child.kill("SIGTERM");
    expect(await running.result).toMatchObject({ code: 143, stdout: "0\n0\nready\n" });
    expect(await scene().must("id -u; id -g; cd; touch mine; touch /tmp/x", { flags: ["--user", "1234:567"] })).toBe("1234\n567\n");
  });

  test("two sandboxes at once have different ids", async () => {
    const both = [1, 2].map(() => scene().start(["sh", "-c", "cat /proc/self/uid_map; echo ready; sleep 20"]));
    await Promise.all(both.map((running) => running.said(/ready/)));
    for (const running of both) running.child.kill("SIGTERM");
    const [first, second] = await Promise.all(both.map(async (running) => (await running.result).stdout));
    expect(first).not.toBe(second);
  });
});

/** As a user without an account. @param fuse mode of /dev/fuse. */
const asUser = (fuse: number, ...args: string[]) => {
  const env = { PATH: process.env["PATH"] ?? "", HOME: "/nowhere" };
  const [command = "", ...line] = [...withFuse(fuse), "setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", binary, ...args];
  return spawnSync(command, line, { cwd: "/", encoding: "utf8", env });
};

describe("do: the mode of an ordinary user", () => {
  afterAll(() => rmSync(join(tmpdir(), "tssandbox-12345"), { recursive: true, force: true }));

  test("is sentry", () => {
    expect(asUser(0o666, "do", "--", "uname", "-r")).toMatchObject({ status: 0, stdout: expect.stringMatching(/-tssandbox\n$/), stderr: "" });
  });

  test("is namespace where /dev/fuse is closed to him and he asks for nothing, and one line tells him", () => {
    const result = asUser(0o600, "do", "--", "uname", "-r");
    expect(result).toMatchObject({ status: 0, stdout: `${release()}\n` });
    expect(result.stderr).toMatch(/^tssandbox: warning: namespace mode, [^\n]+; --mode namespace says that this is meant\n$/);
    expect(asUser(0o600, "--mode", "namespace", "do", "--", "true")).toMatchObject({ status: 0, stderr: "" });
  });

  test("is never namespace where he asks for sentry: the reason is told, and nothing runs", () => {
    const result = asUser(0o600, "--mode", "sentry", "do", "--", "echo", "ran");
    expect(result).toMatchObject({ status: 125, stdout: "" });
    expect(result.stderr).toMatch(/^tssandbox: sentry mode: [^\n]+; use --mode namespace\n$/);
  });
});
