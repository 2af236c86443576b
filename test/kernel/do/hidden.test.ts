/**
 * Walks the table of hidden paths: in a mount namespace of the test's own, with throw-away layers over the host's directories, something that
 * the whole world may read is put where each row points, so that only the row keeps it from the sandbox.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HIDDEN_PATHS, HIDDEN_PROC } from "../../../runtime/do/hidden.ts";
import { binary, describeCallers } from "./support.ts";

const CANARY = "tssandbox-canary";

/** What a row's pattern stands for in the test. */
const concrete = (path: string) => path.replace("*", "zz");

/** Kernel file systems stay as they are; the sandbox has its own. What the host does not have in `/` cannot be laid over there. */
const planted = HIDDEN_PATHS.filter(({ path }) => !["/proc", "/sys", "/dev"].includes(path) && (path.lastIndexOf("/") > 0 || existsSync(path)));

/** Both forms of a row: a file at the path itself, and one in a directory there. */
const forms = ["file", "directory"] as const;

const plant = (form: (typeof forms)[number]) =>
  planted
    .map(({ path, how }) => {
      const at = concrete(path);
      if (how !== "masked" || form === "directory") return `rm -rf ${how === "masked" ? at : ""}; mkdir -p ${at}; chmod 755 ${at}; echo ${CANARY} > ${at}/canary; chmod 644 ${at}/canary`;
      return `rm -rf ${at}; mkdir -p $(dirname ${at}); echo ${CANARY} > ${at}; chmod 644 ${at}`;
    })
    .join("\n");

const look = planted.map(({ path }) => `echo "${path} $(cat ${concrete(path)} ${concrete(path)}/canary 2>/dev/null | head -c 20)"`).join("; ");

let directory = "";
beforeAll(() => {
  // Outside of what the table names, which is covered in the test's namespace.
  directory = mkdtempSync("/opt/tss-hidden-");
  chmodSync(directory, 0o755);
  for (const name of ["upper", "here"]) mkdirSync(join(directory, name));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function runIn(form: (typeof forms)[number], before: string): string[] {
  const layers = ["etc", "var"].map((name) => `mkdir -p $D/${name} $D/${name}.w; mount -t overlay o -o lowerdir=/${name},upperdir=$D/${name},workdir=$D/${name}.w /${name}`);
  const fresh = planted.filter(({ how, path }) => how !== "masked" && path.split("/").length === 2).map(({ path }) => `mount -t tmpfs t ${path}`);
  const script = `set -e; D=${directory}/upper; mount -t tmpfs t $D
    cd ${directory}/here; ${[...layers, ...fresh].join("\n")}
    ${plant(form)}
    mkdir -p /etc/tss-visible; echo ${CANARY} > /etc/tss-visible/canary
    chmod 755 /etc /var /etc/tss-visible; chmod 1777 /tmp
    ${before} '${binary}' do -- sh -c '${look}; echo "control $(cat /etc/tss-visible/canary)"'`;
  return execFileSync("unshare", ["--mount", "--propagation", "private", "sh", "-c", script], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim().split("\n");
}

describe("do: every row of the table", () => {
  for (const form of forms) {
    for (const [caller, before] of [["root", ""], ["an ordinary user", "setpriv --reuid 12345 --regid 12345 --clear-groups env TSSANDBOX_MODE=namespace HOME=/home/nobody"]] as const) {
      test(`hides a readable ${form}, from ${caller}`, () => {
        const lines = runIn(form, before);
        expect(lines.at(-1)).toBe(`control ${CANARY}`);
        expect(lines.slice(0, -1).map((line) => line.trim())).toEqual(planted.map(({ path }) => path));
      });
    }
  }

  test("has a reason, and an absolute path with at most one pattern", () => {
    for (const { path, reason } of [...HIDDEN_PATHS, ...HIDDEN_PROC]) {
      expect(reason.length, path).toBeGreaterThan(10);
      expect(path).toMatch(/^(\/[^/*]+)*\/[^/*]*\*?[^/*]*$/);
    }
  });
});

describeCallers("do: what else the host's root would expose", (scene) => {
  test("hidden files of /proc are empty", async () => {
    const script = HIDDEN_PROC.map(({ path }) => `if test -d ${path}; then ls -A ${path}; elif test -e ${path}; then cat ${path}; fi`).join("; ");
    // A sandbox's own command line of its kernel, disks and swap areas: nothing in them.
    const own = "\nmajor minor  #blocks  name\n\nFilename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
    expect(await scene().must(script)).toBe(scene().caller.mode === "sentry" ? own : "");
  });

  test("/sys of the host's is not there, and nothing of it", async () => {
    const seen = scene().caller.mode === "sentry" ? "block\nbus\nclass\ndevices\nfs\nkernel\n" : "";
    expect((await scene().sh("ls -A /sys 2>/dev/null; cat /proc/mounts | grep -cE ' (sysfs|cgroup2?|debugfs|securityfs) '")).stdout).toBe(`${seen}0\n`);
  });

  test("processes of the host are not seen", async () => {
    expect(await scene().must("ls /proc | grep -cE '^[0-9]+$'")).toMatch(/^[1-6]\n$/);
  });

  test("it is not told more of the environment, the ids and the mounts of the host than it must", async () => {
    const mounts = await scene().must("cat /proc/self/mountinfo");
    expect(mounts).not.toContain(scene().caller.home === "/root" ? "/run/tssandbox" : "tssandbox-");
  });
});

describeCallers("do: the host's permissions", (scene) => {
  const outside = `/opt/tss-do-outside-${process.pid}`;
  beforeAll(() => {
    mkdirSync(outside);
    chmodSync(outside, 0o755);
    writeFileSync(join(outside, "open"), "open\n", { mode: 0o644 });
    writeFileSync(join(outside, "closed"), "closed\n", { mode: 0o600 });
    mkdirSync(join(outside, "shut"));
    writeFileSync(join(outside, "shut/inner"), "inner\n", { mode: 0o644 });
    chmodSync(join(outside, "shut"), 0o700);
  });
  afterAll(() => rmSync(outside, { recursive: true, force: true }));

  test("what only root may read stays closed, wherever it lies", async () => {
    const result = await scene().sh(`cat ${outside}/open; cat ${outside}/closed; cat ${outside}/shut/inner; ls ${outside}/shut`);
    expect(result.stdout).toBe("open\n");
    expect(result.stderr.match(/Permission denied/g)).toHaveLength(3);
  });

  test("writes go to a layer that vanishes", async () => {
    const name = `tss-do-${process.pid}`;
    const paths = ["/etc", "/usr/local/bin", "/usr/lib", "/var/lib", "/opt", "/srv", "/tmp", "/var/tmp", "/run", "/"].map((path) => join(path, name));
    expect(await scene().must(`for p in ${paths.join(" ")}; do echo x > $p && cat $p; done; rm /etc/hostname; ! test -e /etc/hostname`)).toBe("x\n".repeat(paths.length));
    expect(await scene().must(`ls ${paths.join(" ")} 2>/dev/null; test -e /etc/hostname && echo back`)).toBe("back\n");
    for (const path of paths) expect(() => execFileSync("test", ["-e", path])).toThrow();
  });

  test("a socket of the host cannot be connected to", async () => {
    const socket = join(outside, "socket");
    const server = `import os, socket, time; s = socket.socket(socket.AF_UNIX); s.bind("${socket}"); os.chmod("${socket}", 0o777); s.listen(); print("ready", flush=True); time.sleep(60)`;
    const { Running, ROOT } = await import("./support.ts");
    const host = new Running(ROOT, ["python3", "-c", server], "/", {});
    await host.said(/ready/);
    const client = ["python3", "-c", `import socket; s = socket.socket(socket.AF_UNIX); s.connect("${socket}"); print("connected")`];
    try {
      // The control: outside it works.
      expect((await new Running(scene().caller, client, "/", {}).result).stdout).toBe("connected\n");
      const result = await scene().run(client);
      expect(result.stderr).toContain("ConnectionRefusedError");
    } finally {
      host.child.kill("SIGKILL");
      await host.result;
      rmSync(socket, { force: true });
    }
  });
});

const setup = (command: string) => `mkdir sub; echo inner > sub/file; chmod 755 sub; echo text > file; ${command}`;

describeCallers("do: other mounts of the host", (scene) => {
  const run = (before: string, inside: string, after = "true") => {
    const { uid, gid } = scene().caller;
    const script = `set -e; mkdir -p /opt/tss-mounts; mount -t tmpfs t /opt/tss-mounts; cd /opt/tss-mounts; chmod 755 .; ${before}
      cd ${scene().directory}; setpriv --reuid ${uid} --regid ${gid} --clear-groups ${binary} do -- sh -c '${inside}'; ${after}`;
    try {
      return execFileSync("unshare", ["--mount", "--propagation", "private", "sh", "-c", script], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    } finally {
      execFileSync("rmdir", ["/opt/tss-mounts"]);
    }
  };

  test("lie under throw-away layers too", () => {
    const inside = "cd /opt/tss-mounts; cat file sub/file; for f in new ../new; do echo x > $f && cat $f; done";
    expect(run(setup("mount -t tmpfs t sub; echo inner > sub/file"), inside, "ls /opt/tss-mounts /opt/tss-mounts/sub")).toBe(
      "text\ninner\nx\nx\n/opt/tss-mounts:\nfile\nsub\n\n/opt/tss-mounts/sub:\nfile\n",
    );
  });

  test("kernel file systems, device nodes, sockets and FIFOs in ordinary places are not shown", () => {
    const listener = `python3 -c "import os, socket, time; s = socket.socket(socket.AF_UNIX); s.bind('socket'); os.chmod('socket', 0o777); s.listen(); os.fork() or time.sleep(3)" >/dev/null 2>&1`;
    const doors = `mkdir proc sys deep; mount -t proc p proc; mount -t sysfs s sys; mknod zero c 1 5; mkfifo fifo; chmod 666 zero fifo; ${listener}; cd deep; ${listener}; mknod zero c 1 5; chmod 666 zero; cd ..`;
    const inside = `cd /opt/tss-mounts; ls; cd deep; head -c1 zero 2>/dev/null && echo device; python3 -c "import socket; socket.socket(socket.AF_UNIX).connect(\\"socket\\")" 2>&1 | tail -1`;
    expect(run(setup(doors), inside)).toBe("deep\nfile\nsub\nConnectionRefusedError: [Errno 111] Connection refused\n");
  });
});
