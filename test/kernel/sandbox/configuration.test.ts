/** What a configuration becomes in a sandbox: who decides the mode, what is lent and how, what is refused. */
import { chownSync, copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { release } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { O_RDONLY } from "../../../linux/abi/fcntl.ts";
import { open } from "../../../linux/file.ts";
import { setXattr } from "../../../linux/xattr.ts";
import type { CommandOptions, Container } from "../../support/container.ts";
import { nothingLeft } from "../../support/host.ts";
import type { Spec } from "../../support/spec.ts";
import { make } from "../errors/own.ts";
import { inspect, SENTRY } from "./support.ts";

const shell = (script: string, edit?: (spec: Spec, bundle: Container["bundle"]) => void) => make({ args: ["sh", "-c", script], ...(edit && { edit }) });
const annotate = (annotations: Record<string, string>) => (spec: Spec) => void Object.assign(spec, { annotations });

const bind = (source: string, destination: string, ...options: string[]) => ({ type: "bind", source, destination, options: ["bind", ...options] });

function mayChown({ process }: Spec): void {
  for (const set of ["bounding", "effective", "permitted"] as const) process?.capabilities?.[set]?.push("CAP_CHOWN");
}

describe("the mode", () => {
  const RELEASE = "6.12.0-tssandbox\n";

  /** Without a mode in the environment, which other tests have. */
  const UNSAID: CommandOptions = { env: { TSSANDBOX_MODE: undefined } };

  test("is a sandbox where nobody says anything, for run and for create", async () => {
    await using ran = shell("uname -r");
    expect(await ran.mustRun(UNSAID)).toBe(RELEASE);
    await using created = make({ args: ["sleep", "100"] });
    await created.mustBegin(UNSAID);
    expect(await created.mustExec(["uname", "-r"], UNSAID)).toBe(RELEASE);
  });

  test("is the host's kernel where the command line or the environment says so, the command line first", async () => {
    const host = `${release()}\n`;
    await using flag = shell("uname -r");
    expect(await flag.mustRun({ ...UNSAID, global: ["--mode", "namespace"] })).toBe(host);
    await using variable = shell("uname -r");
    expect(await variable.mustRun({ env: { TSSANDBOX_MODE: "namespace" } })).toBe(host);
    await using both = shell("uname -r");
    expect(await both.mustRun({ env: { TSSANDBOX_MODE: "namespace" }, ...SENTRY })).toBe(RELEASE);
  });

  test("is the command line's, or a stronger one that the container asks for", async () => {
    await using given = shell("uname -r");
    expect(await given.mustRun(SENTRY)).toBe(RELEASE);
    await using asked = shell("uname -r", annotate({ "dev.tssandbox.mode": "sentry" }));
    expect(await asked.mustRun()).toBe(RELEASE);
  });

  test.each([["the command line's", SENTRY], ["the default", UNSAID]])("is never a weaker one than %s, which an image could ask for as well; a warning says so", async (_which, options) => {
    await using c = shell("uname -r", annotate({ "dev.tssandbox.mode": "namespace" }));
    expect(await c.run(options)).toMatchObject({ code: 0, stdout: RELEASE, stderr: expect.stringMatching(/^tssandbox: warning: the annotation .* cannot lower the isolation: the mode is sentry.*\n$/) });
  });

  test("that does not exist is refused, naming the annotation, and nothing is left", async () => {
    await using c = shell("true", annotate({ "dev.tssandbox.mode": "magic" }));
    const result = await c.run();
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toBe('tssandbox: config.json: annotations["dev.tssandbox.mode"]: must be one of namespace, sentry, vm, is "magic"\n');
    await c.expectNothingLeft();
  });

  test("is kept for exec, which needs no flag", async () => {
    await using c = make({ args: ["sleep", "100"] });
    await c.mustBegin(SENTRY);
    expect(await c.mustExec(["uname", "-r"])).toBe(RELEASE);
  });
});

describe("identity", () => {
  test("every guest has ids of its own, unprivileged on the host, and the sentry another", async () => {
    await using first = make({ args: ["sleep", "100"] });
    await using second = make({ args: ["sleep", "100"] });
    await first.mustBegin(SENTRY);
    await second.mustBegin(SENTRY);
    const ids = [first, second].map((c) => statSync(`/proc/${c.pid}`).uid);
    for (const id of ids) expect(id).toBeGreaterThanOrEqual(0x7000_0000);
    expect(new Set(ids).size).toBe(2);
  });

  test("files belong inside to whom they belong outside, as under runc", async () => {
    await using c = shell("stat -c '%u %g' /owned /", (_spec, bundle) => chownSync(bundle.file("owned", ""), 1234, 5678));
    expect(await c.mustRun(SENTRY)).toBe("1234 5678\n0 0\n");
  });
});

describe("writes to the root file system", () => {
  test("are gone with the container", async () => {
    await using c = shell("echo changed > /file; cat /file", (_spec, bundle) => void bundle.file("file", "as it was\n"));
    expect(await c.mustRun(SENTRY)).toBe("changed\n");
    expect(c.bundle.read("file")).toBe("as it was\n");
  });

  test("reach the host where the annotation says so", async () => {
    await using c = shell("echo changed > /file; mkdir /new; chown 12:34 /new", (spec, bundle) => {
      annotate({ "dev.tssandbox.root-writes": "host" })(spec);
      mayChown(spec);
      bundle.file("file", "as it was\n");
    });
    await c.mustRun(SENTRY);
    expect(c.bundle.read("file")).toBe("changed\n");
    expect(statSync(`${c.rootfs}/new`)).toMatchObject({ uid: 12, gid: 34 });
  });

  test("do not happen on a read-only root", async () => {
    await using c = shell("echo x > /file", (spec) => void (spec.root.readonly = true));
    expect((await c.run(SENTRY)).stderr).toContain("Read-only file system");
  });
});

describe("volumes", () => {
  test("are shared, writes and attributes both ways; a single file too", async () => {
    await using c = shell("cat /etc/single; echo two >> /etc/single; echo x > /v/new; chmod 640 /v/new; chown 7:8 /v/new", (spec, bundle) => {
      mayChown(spec);
      mkdirSync(bundle.path("v"));
      writeFileSync(bundle.path("single"), "one\n");
      spec.mounts.push(bind(bundle.path("v"), "/v"), bind(bundle.path("single"), "/etc/single"));
    });
    expect(await c.mustRun(SENTRY)).toBe("one\n");
    expect(readFileSync(c.bundle.path("single"), "utf8")).toBe("one\ntwo\n");
    expect(statSync(c.bundle.path("v/new"))).toMatchObject({ uid: 7, gid: 8, mode: 0o100640 });
  });

  test("read-only ones are, for root as well", async () => {
    await using c = shell("touch /v/x", (spec, bundle) => {
      mkdirSync(bundle.path("v"));
      spec.mounts.push(bind(bundle.path("v"), "/v", "ro"));
    });
    expect((await c.run(SENTRY)).stderr).toContain("Read-only file system");
  });

  test("a socket of the host's is refused, naming the mount, unless it is asked for", async () => {
    await using c = shell("test -S /s && echo socket", (spec, bundle) => void spec.mounts.push(bind(bundle.path("s"), "/s")));
    const server = createServer().listen(c.bundle.path("s"));
    await new Promise((listening) => server.once("listening", listening));
    const refused = await c.run(SENTRY);
    expect(refused.stderr).toMatch(/^tssandbox: config\.json: mounts\[\d+\]\.source: \S+ is a socket or FIFO of the host's; set the annotation dev\.tssandbox\.host-sockets/);
    await c.expectNothingLeft();
    annotate({ "dev.tssandbox.host-sockets": "true" })(c.spec);
    c.bundle.write();
    expect(await c.mustRun(SENTRY)).toBe("socket\n");
    server.close();
  });
});

describe("a program's capabilities on the root file system", () => {
  /** struct vfs_cap_data, revision 2: CAP_NET_RAW, effective. Source: linux/capability.h. */
  const CAP_NET_RAW = 1 << 13;
  const REVISION_2_EFFECTIVE = 0x0200_0001;

  async function effective(noNewPrivileges: boolean): Promise<{ readonly capabilities: string; readonly asked: number }> {
    await using c = make({
      args: ["sleep", "100"],
      edit: ({ process }, { rootfs }) => {
        Object.assign(process!, { noNewPrivileges, user: { uid: 1000, gid: 1000 } });
        process!.capabilities = { bounding: ["CAP_NET_RAW"] };
        copyFileSync(join(rootfs, "bin/busybox"), join(rootfs, "bin/busybox-capable"));
      },
    });
    using program = open(join(c.rootfs, "bin/busybox-capable"), O_RDONLY);
    setXattr(program, "security.capability", new Uint8Array(new Uint32Array([REVISION_2_EFFECTIVE, CAP_NET_RAW, 0, 0, 0]).buffer));
    await c.mustBegin(SENTRY);
    for (let i = 0; i < 4; i++) await c.mustExec(["true"]);
    const capabilities = await c.mustExec(["/bin/busybox-capable", "sed", "-n", "s/CapEff:.*\\(....\\)$/\\1/p", "/proc/self/status"]);
    const { connections } = await inspect(c);
    return { capabilities: capabilities.trim(), asked: connections.find(({ name }) => name === "root")?.operations.find(({ name }) => name === "GETXATTR")?.count ?? 0 };
  }

  test("are honoured, for which the kernel asks before it executes one", async () => {
    const { capabilities, asked } = await effective(false);
    expect([capabilities, asked >= 5]).toEqual(["2000", true]);
  });

  test("give nothing where no new privileges are to be had, and the kernel asks once", async () => {
    expect(await effective(true)).toEqual({ capabilities: "0000", asked: 1 });
  });
});

describe("the machine", () => {
  test("has the memory and the processors of the limits", async () => {
    await using c = shell("sed -n 's/MemTotal: *//p' /proc/meminfo; grep -c ^processor /proc/cpuinfo", (spec) => {
      Object.assign(spec.linux.resources!, { memory: { limit: 100 << 20 }, cpu: { quota: 50_000, period: 100_000 } });
    });
    expect(await c.mustRun(SENTRY)).toBe(`${100 << 10} kB\n1\n`);
  });

  test("has been up as long as the container, by every clock that tells", async () => {
    await using c = shell("cut -d. -f1 /proc/uptime; echo $(($(date +%s) - $(sed -n 's/btime //p' /proc/stat)))");
    const [uptime, sinceBoot] = (await c.mustRun(SENTRY)).trim().split("\n").map(Number);
    expect(uptime).toBeLessThan(30);
    expect(sinceBoot).toBeLessThan(30);
  });

  test("lets those groups send echo requests that there are, where all may", async () => {
    await using c = shell("cat /proc/sys/net/ipv4/ping_group_range", (spec) => {
      spec.linux.sysctl = { "net.ipv4.ping_group_range": "0 2147483647" };
    });
    expect((await c.mustRun(SENTRY)).split(/\s+/)).toEqual(["0", "65535", ""]);
  });

  test("has sysctls as they are configured", async () => {
    await using c = shell("cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/shmmax", (spec) => {
      spec.linux.sysctl = { "net.ipv4.ip_default_ttl": "33", "kernel.shmmax": "123456" };
    });
    expect(await c.mustRun(SENTRY)).toBe("33\n123456\n");
  });
});

describe("what a sandbox cannot give is refused, and nothing is left", () => {
  test.each(["pid", "user", "mount"])("another's %s namespace", async (type) => {
    const file = type === "mount" ? "mnt" : type;
    await using c = shell("true", (spec) => {
      spec.linux.namespaces = [...spec.linux.namespaces.filter((namespace) => namespace.type !== type), { type, path: `/proc/self/ns/${file}` }];
    });
    const result = await c.run(SENTRY);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(new RegExp(`^tssandbox: config\\.json: linux\\.namespaces\\[\\d+\\]\\.path: a sandbox has a ${type} namespace of its own.*--mode namespace.*\\n$`));
    await c.expectNothingLeft();
  });

  const others: [field: string, edit: (spec: Spec) => void][] = [
    ["linux.namespaces", (spec) => void (spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== "pid"))],
    ["process.scheduler.policy", ({ process }) => void Object.assign(process!, { scheduler: { policy: "SCHED_FIFO", priority: 1 } })],
    ["process.scheduler.nice", ({ process }) => void Object.assign(process!, { scheduler: { policy: "SCHED_OTHER", nice: -1 } })],
    ["process.ioPriority.class", ({ process }) => void Object.assign(process!, { ioPriority: { class: "IOPRIO_CLASS_RT", priority: 0 } })],
    ["mounts[0]", ({ mounts }) => void mounts.unshift({ ...bind("/tmp", "/v"), uidMappings: [{ containerID: 0, hostID: 5000, size: 1 }], gidMappings: [{ containerID: 0, hostID: 5000, size: 1 }] })],
  ];
  test.each(others)("%s", async (field, edit) => {
    await using c = shell("true", edit);
    const result = await c.run(SENTRY);
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toMatch(new RegExp(`^tssandbox: config\\.json: ${RegExp.escape(field)}: [^\n]*--mode namespace[^\n]*\n$`));
    await c.expectNothingLeft();
  });
});

describe("the end", () => {
  test("of the guest is the end of sentry and gofer; in the foreground before run returns", async () => {
    await using c = shell("true");
    await c.mustRun(SENTRY);
    expect(c.hostState()).toEqual(nothingLeft);
  });
});
