import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensurePackages } from "../packages.ts";
import { BUSYBOX } from "./images.ts";
import { Podman, succeeded, type User } from "./podman.ts";
import { commandOf, descendantsOf, eventually, execute, isAlive, parentOf, RUNTIME, statusField } from "./support.ts";

// podman as an ordinary user: the runtime has no privilege but those of a user namespace that it is started in.

const LOGIN = `tss-rootless-${process.pid}`;
let podman: Podman;
let user: User;

beforeAll(async () => {
  await ensurePackages(["uidmap", "passwd"]);
  user = await addUser();
  const reachable = await execute(["test", "-x", RUNTIME], user);
  if (reachable.code !== 0) throw new Error(`an ordinary user cannot reach ${RUNTIME}`);
  podman = await Podman.start("rootless", [BUSYBOX], { user, mode: "namespace" });
});
afterAll(async () => {
  await podman?.[Symbol.asyncDispose]();
  succeeded(await execute(["userdel", LOGIN]), ["userdel"]);
});

/** useradd also gives it a range of subordinate ids, for newuidmap. */
async function addUser(): Promise<User> {
  succeeded(await execute(["useradd", "--no-create-home", "--shell", "/usr/sbin/nologin", LOGIN]), ["useradd"]);
  const ids = succeeded(await execute(["getent", "passwd", LOGIN]), ["getent"]).split(":");
  return { uid: Number(ids[2]), gid: Number(ids[3]) };
}

const firstSubordinate = () => Number(new RegExp(`^${LOGIN}:(\\d+):`, "m").exec(readFileSync("/etc/subuid", "utf8"))?.[1]);
const uidOf = (pid: number) => Number(statusField(pid, "Uid").split("\t")[0]);

describe("run", () => {
  test.each([0, 3])("exit code %i", async (code) => {
    expect((await podman.podman("run", "--rm", BUSYBOX.name, "sh", "-c", `exit ${code}`)).code).toBe(code);
  });

  test("127 and 126", async () => {
    expect((await podman.podman("run", "--rm", BUSYBOX.name, "no-such-command")).code).toBe(127);
    expect((await podman.podman("run", "--rm", BUSYBOX.name, "/etc/passwd")).code).toBe(126);
  });

  test("root inside is the user outside; the image's other ids are subordinate ones", async () => {
    const outside = podman.workspace.path("lent");
    succeeded(await podman.call(["mkdir", outside]), ["mkdir"]);
    const found = await podman.sh(["-v", `${outside}:/lent`], "id -u; touch /lent/root; touch /lent/guest; chown guest /lent/guest; stat -c %u /etc/passwd");
    expect(found).toBe("0\n0");
    const owners = (await execute(["stat", "-c", "%u", `${outside}/root`, `${outside}/guest`])).stdout.trim().split("\n").map(Number);
    expect(owners).toEqual([user.uid, firstSubordinate() + 1233]);
  });

  test("--user, --userns=keep-id", async () => {
    expect(await podman.sh(["--user", "guest"], "id -u; id -G")).toBe("1234\n1234 4321");
    expect(await podman.sh(["--userns", "keep-id"], "id -u")).toBe(String(user.uid));
  });

  test("in a terminal", async () => {
    const dialogue = [[/33 101\r\n/, "typed\n"]] as const;
    const script = "tty; until stty size 2>/dev/null | grep .; do sleep 0.1; done; read x; echo got $x; exit 6";
    const done = await podman.inTerminal(["run", "--rm", "-it", BUSYBOX.name, "sh", "-c", script], { dialogue });
    expect(done.stdout.split("\r\n")).toEqual(["/dev/pts/0", "33 101", "typed", "got typed", ""]);
    expect(done.code).toBe(6);
  });

  test("--read-only, --tmpfs, --volume read-only, --hostname, --sysctl, --cap-drop", async () => {
    const lent = podman.workspace.path("read-only");
    mkdirSync(lent);
    writeFileSync(`${lent}/file`, "from outside\n");
    const options = ["--read-only", "--tmpfs", "/scratch:size=1m", "-v", `${lent}:/lent:ro`, "--hostname", "probe", "--sysctl", "kernel.shmmax=4096", "--cap-drop", "all"];
    const script = "touch /x 2>/dev/null || echo refused; touch /scratch/x && echo scratch; cat /lent/file; touch /lent/x 2>/dev/null || echo refused; hostname; cat /proc/sys/kernel/shmmax; grep CapEff /proc/self/status";
    expect(await podman.sh(options, script)).toBe("refused\nscratch\nfrom outside\nrefused\nprobe\n4096\nCapEff:\t0000000000000000");
  });

  test("devices, links and a seccomp filter are there", async () => {
    expect(await podman.sh([], "head -c2 /dev/zero | wc -c; readlink /dev/ptmx; grep ^Seccomp: /proc/self/status")).toBe("2\npts/ptmx\nSeccomp:\t2");
  });
});

describe("a detached container", () => {
  let id: string;
  beforeAll(async () => {
    id = await podman.background([], "sleep", "100");
  });
  afterAll(async () => podman.podman("rm", "--force", "--time", "0", id));

  test("is conmon's child, owned by the user, and nothing else is there", async () => {
    const { init, conmon } = await podman.pids(id);
    expect(parentOf(init)).toBe(conmon);
    expect(descendantsOf(conmon)).toEqual([init]);
    expect(podman.monitors()).toEqual([conmon]);
    expect([commandOf(init), uidOf(init)]).toEqual(["sleep 100", user.uid]);
  });

  test("exec: streams, exit codes, user, terminal", async () => {
    expect((await podman.podman("exec", id, "sh", "-c", "exit 5")).code).toBe(5);
    expect((await podman.podman("exec", id, "no-such-command")).code).toBe(127);
    const argv = podman.argv("exec", "--interactive", "--user", "guest", "--env", "ONE=1", id, "sh", "-c", "cat; id -u; echo $ONE >&2");
    expect(await podman.call(argv, { input: "line\n" })).toEqual({ code: 0, stdout: "line\n1234\n", stderr: "1\n" });
    expect((await podman.inTerminal(["exec", "-it", id, "tty"])).stdout).toBe("/dev/pts/0\r\n");
  });

  test("top, cp and inspect", async () => {
    expect(await podman.ok("top", id, "comm")).toBe("COMMAND\nsleep");
    const file = podman.workspace.path("copied");
    writeFileSync(file, "copied\n");
    await podman.ok("cp", file, `${id}:/tmp/copied`);
    expect(await podman.ok("exec", id, "cat", "/tmp/copied")).toBe("copied");
    expect(await podman.inspect(id, "{{.State.Status}}")).toBe("running");
  });

  test("kill, wait, restart, rm: nothing is left", async () => {
    const { init } = await podman.pids(id);
    await podman.ok("kill", id);
    expect(await podman.ok("wait", id)).toBe("137");
    await podman.ok("restart", id);
    await podman.remove(id);
    await eventually("init ends", () => !isAlive(init));
    await podman.expectNothingLeft(id);
  });
});

// Its own store, so that nothing is shared but the user: the mode is a flag of podman's that it keeps with its containers.
describe("in sandboxes, by default", () => {
  let sandboxed: Podman;
  beforeAll(async () => {
    sandboxed = await Podman.start("rootless-sentry", [BUSYBOX], { user });
  });
  afterAll(async () => sandboxed?.[Symbol.asyncDispose]());

  test("run: exit code, streams, ids, a volume", async () => {
    expect((await sandboxed.podman("run", "--rm", BUSYBOX.name, "sh", "-c", "exit 3")).code).toBe(3);
    const lent = sandboxed.workspace.path("lent");
    succeeded(await sandboxed.call(["mkdir", lent]), ["mkdir"]);
    const script = "uname -r; id -u; touch /lent/root /lent/guest; chown guest /lent/guest; stat -c %u /etc/passwd; echo x >/new && cat /new";
    expect(await sandboxed.sh(["-v", `${lent}:/lent`], script)).toMatch(/^[^\n]+-tssandbox\n0\n0\nx$/);
    const owners = (await execute(["stat", "-c", "%u", `${lent}/root`, `${lent}/guest`])).stdout.trim().split("\n").map(Number);
    expect(owners).toEqual([user.uid, firstSubordinate() + 1233]);
    expect(await sandboxed.sh(["--user", "guest"], "id -u; id -G")).toBe("1234\n1234 4321");
    expect(await sandboxed.sh(["--userns", "keep-id"], "id -u")).toBe(String(user.uid));
  });

  test("a detached one: exec, a terminal, kill, restart, rm; sentry and gofers have ids of their own, and go", async () => {
    const id = await sandboxed.background([], "sleep", "100");
    const { init, conmon } = await sandboxed.pids(id);
    expect(parentOf(init)).toBe(conmon);
    const others = descendantsOf(conmon).filter((pid) => pid !== init);
    expect([uidOf(init), ...new Set(others.map(uidOf))].toSorted()).toEqual([user.uid, firstSubordinate() + 65_534, firstSubordinate() + 65_535]);
    expect((await sandboxed.podman("exec", id, "sh", "-c", "exit 5")).code).toBe(5);
    expect((await sandboxed.inTerminal(["exec", "-it", id, "tty"])).stdout).toBe("/dev/pts/0\r\n");
    await sandboxed.ok("kill", id);
    expect(await sandboxed.ok("wait", id)).toBe("137");
    await sandboxed.ok("restart", id);
    await sandboxed.remove(id);
    await eventually("all end", () => [init, ...others].every((pid) => !isAlive(pid)));
    await sandboxed.expectNothingLeft(id);
  });
});

test("a pod's containers share namespaces", async () => {
  await podman.ok("pod", "create", "--name", "pod", "--share", "net,ipc,uts");
  await podman.background(["--pod", "pod"], "httpd", "-f", "-p", "8080", "-h", "/etc");
  const reached = await podman.sh(["--pod", "pod"], "for i in $(seq 50); do wget -qO- http://127.0.0.1:8080/passwd && break; sleep 0.1; done");
  expect(reached).toContain("guest:x:1234");
  await podman.ok("pod", "rm", "--force", "--time", "0", "pod");
  await podman.expectNothingLeft();
});
