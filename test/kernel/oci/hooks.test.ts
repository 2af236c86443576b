import { existsSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Bundle } from "../../support/bundle.ts";
import type { ContainerState } from "../../support/container.ts";
import { describeRuntime, type TestOptions } from "../../support/contract.ts";
import { isAlive, namespaceOf } from "../../support/host.ts";
import type { Hook, Spec } from "../../support/spec.ts";
import { until } from "../../support/until.ts";

const points = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] as const;
type Point = (typeof points)[number];

/** A line of the log for each call: name, namespaces, state; fields end with a tab. */
const script = `#!/bin/sh
state=$(cat)
printf '%s\\t%s\\t%s\\t%s\\t%s\\n' "$1" "$(readlink /proc/self/ns/pid)" "$(readlink /proc/self/ns/mnt)" "$(readlink /proc/self/ns/net)" "$state" >> "$2"
[ -z "$3" ] || exit "$3"
`;

type Record = { name: string; ns: { pid: number; mnt: number; net: number }; state: ContainerState };

const inode = (link: string) => Number(/\d+/.exec(link)?.[0]);

function hookLog(bundle: Bundle): Record[] {
  const path = `${bundle.rootfs}/log`;
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8").trim().split("\n").map((line) => {
    const [name = "", pid = "", mnt = "", net = "", state = ""] = line.split("\t");
    return { name, ns: { pid: inode(pid), mnt: inode(mnt), net: inode(net) }, state: JSON.parse(state) as ContainerState };
  });
}

/** A hook that logs; `name` says which one it was. startContainer hooks are found inside the container. */
function hook(bundle: Bundle, point: Point, name: string = point, fields: Partial<Hook> & { fail?: number } = {}): Hook {
  const { fail, ...rest } = fields;
  const root = point === "startContainer" ? "" : bundle.rootfs;
  return { path: `${root}/hook`, args: ["hook", name, `${root}/log`, ...(fail === undefined ? [] : [String(fail)])], env: ["PATH=/bin:/usr/bin"], ...rest };
}

function withHooks(make: (bundle: Bundle) => { [point in Point]?: Hook[] }) {
  return (spec: Spec, bundle: Bundle) => {
    bundle.file("hook", script, 0o755);
    spec.hooks = make(bundle) as globalThis.Record<string, Hook[]>;
    spec.annotations = { "org.example.key": "value" };
  };
}
const twoOfEach = (list: readonly Point[]) => withHooks((bundle) => Object.fromEntries(list.map((point) => [point, [hook(bundle, point, `${point}-1`), hook(bundle, point, `${point}-2`)]])));
/** runc calls poststart at create: with it, only the others can be its contract. */
const selections: { what: string; list: readonly Point[]; options: TestOptions }[] = [
  { what: "the five of create, start and delete", list: points.filter((point) => point !== "poststart"), options: {} },
  { what: "all six", list: points, options: { cannot: { "runc 1": "calls poststart at create" } } },
];
const names = (bundle: Bundle) => hookLog(bundle).map(({ name }) => name);

/** dash keeps its script at 10 and above. */
const listDescriptors = (to: string) => ["sh", "-c", `for fd in 0 1 2 3 4 5 6 7 8 9; do [ ! -e /proc/$$/fd/$fd ] || echo $fd; done > ${to}`];

describeRuntime("hooks: when and how", ({ test, make }) => {
  for (const { what, list, options } of selections) {
    const both = (...wanted: Point[]) => wanted.filter((point) => list.includes(point)).flatMap((point) => [`${point}-1`, `${point}-2`]);

    test(`${what} run in order, each at its moment of the life cycle`, options, async () => {
      await using c = make({ args: ["sleep", "100"], edit: twoOfEach(list) });
      await c.mustCreate();
      expect(names(c.bundle)).toEqual(both("prestart", "createRuntime", "createContainer"));
      await c.mustStart();
      const started = both("prestart", "createRuntime", "createContainer", "startContainer", "poststart");
      await until("the hooks of start", () => names(c.bundle).length >= started.length);
      await c.kill("KILL");
      await c.exitStatus();
      expect(names(c.bundle)).toEqual(started);
      expect((await c.delete()).code).toBe(0);
      expect(names(c.bundle)).toEqual(both(...points));
    });

    test(`${what}: foreground run calls them`, options, async () => {
      await using c = make({ args: ["true"], edit: twoOfEach(list) });
      expect((await c.run()).code).toBe(0);
      expect(names(c.bundle)).toEqual(both(...points));
    });

    test(`${what} get the state of their moment on standard input`, options, async () => {
      await using c = make({ args: ["sleep", "100"], edit: twoOfEach(list) });
      await c.mustBegin();
      await until("the hooks of start", () => names(c.bundle).length >= both("prestart", "createRuntime", "createContainer", "startContainer", "poststart").length);
      const { pid } = c;
      await c.kill("KILL");
      await c.exitStatus();
      await c.delete();
      const status = { prestart: "creating", createRuntime: "creating", createContainer: "creating", startContainer: "created", poststart: "running", poststop: "stopped" };
      const log = hookLog(c.bundle);
      expect(log.map(({ name }) => name)).toEqual(both(...points));
      for (const { name, state } of log) {
        const point = name.split("-")[0] as Point;
        expect(state, name).toMatchObject({ ociVersion: expect.stringMatching(/^1\./), id: c.id, status: status[point], bundle: c.bundle.dir, annotations: { "org.example.key": "value" } });
        if (["prestart", "createRuntime", "poststart"].includes(point)) expect(state.pid, name).toBe(pid);
      }
    });
  }

  test("prestart, createRuntime, poststart and poststop run in the runtime's namespaces, createContainer and startContainer in the container's", async () => {
    await using c = make({ args: ["sleep", "100"], edit: twoOfEach(points) });
    await c.mustBegin();
    const inside = { mnt: namespaceOf(c.pid, "mnt"), net: namespaceOf(c.pid, "net"), pid: namespaceOf(c.pid, "pid") };
    const outside = { mnt: namespaceOf("self", "mnt"), net: namespaceOf("self", "net"), pid: namespaceOf("self", "pid") };
    await c.delete("--force");
    for (const { name, ns } of hookLog(c.bundle)) {
      const own = name.startsWith("createContainer") || name.startsWith("startContainer");
      expect(ns, name).toEqual(own ? inside : outside);
    }
    expect(names(c.bundle)).toHaveLength(12);
  });

  test("poststart runs after the container's process has been executed", { cannot: { "runc 1": "calls poststart at create" } }, async () => {
    await using c = make({ args: ["sleep", "4321"], edit: (spec, bundle) => {
      spec.hooks = { poststart: [{ path: "/bin/sh", args: ["sh", "-c", `pid=$(sed 's/.*"pid": *\\([0-9]*\\).*/\\1/'); for i in 1 2 3 4 5 6 7 8 9 10; do tr '\\0' ' ' < /proc/$pid/cmdline > ${bundle.path("cmdline")}; grep -q sleep ${bundle.path("cmdline")} && break; sleep 0.02; done`], env: ["PATH=/bin:/usr/bin"] }] };
    } });
    await c.mustBegin();
    expect(readFileSync(c.bundle.path("cmdline"), "utf8")).toBe("sleep 4321 ");
  });

  test("createContainer sees the container's mounts before the root is changed", async () => {
    await using c = make({ args: ["true"], edit: (spec, bundle) => {
      spec.hooks = { createContainer: [{ path: "/bin/sh", args: ["sh", "-c", `grep -c ' ${bundle.rootfs}/proc ' /proc/thread-self/mountinfo > ${bundle.rootfs}/seen`], env: ["PATH=/bin:/usr/bin"] }] };
    } });
    await c.mustRun();
    expect(c.bundle.read("seen")).toBe("1\n");
  });

  test("createRuntime may still furnish the network namespace", async () => {
    await using c = make({ args: ["sh", "-c", "ip -o addr show lo"], edit: (spec) => {
      spec.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", `pid=$(sed 's/.*"pid": *\\([0-9]*\\).*/\\1/'); nsenter -t $pid -n ip addr add 10.9.8.7/32 dev lo`], env: ["PATH=/sbin:/usr/sbin:/bin:/usr/bin"] }] };
    } });
    expect(await c.mustRun()).toMatch(/10\.9\.8\.7/);
  });

  test("args and env are the configured ones and nothing else", async () => {
    await using c = make({ args: ["true"], edit: (spec, bundle) => {
      spec.hooks = { createRuntime: [{ path: "/bin/sh", args: ["my name", "-c", `tr '\\0' '\\n' < /proc/$$/cmdline | head -1 > ${bundle.path("argv")}; tr '\\0' '\\n' < /proc/$$/environ > ${bundle.path("env")}`], env: ["PATH=/bin:/usr/bin", "ONLY=this"] }] };
    } });
    await c.mustRun({ env: { LEAK: "host" } });
    expect(readFileSync(c.bundle.path("argv"), "utf8")).toBe("my name\n");
    expect(readFileSync(c.bundle.path("env"), "utf8").trim().split("\n").sort()).toEqual(["ONLY=this", "PATH=/bin:/usr/bin"]);
  });

  test("a hook without env gets none of the caller's", { cannot: { "runc 1": "hands on its own environment" } }, async () => {
    await using c = make({ args: ["true"], edit: (spec, bundle) => {
      spec.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", `/usr/bin/tr '\\0' '\\n' < /proc/$$/environ > ${bundle.path("env")}`] }] };
    } });
    await c.mustRun({ env: { LEAK: "host" } });
    expect(readFileSync(c.bundle.path("env"), "utf8")).not.toMatch(/LEAK/);
  });

  test("a hook without args has its path as its only argument", async () => {
    await using c = make({ args: ["true"], edit: (spec, bundle) => {
      bundle.file("bare", `#!/bin/sh\necho $# > ${bundle.path("count")}\n`, 0o755);
      spec.hooks = { createRuntime: [{ path: `${bundle.rootfs}/bare`, env: ["PATH=/bin:/usr/bin"] }] };
    } });
    await c.mustRun();
    expect(readFileSync(c.bundle.path("count"), "utf8")).toBe("0\n");
  });

  test("a hook that does not read its standard input is no error", async () => {
    await using c = make({ args: ["true"], edit: (spec) => {
      spec.annotations = { big: "x".repeat(200_000) };
      spec.hooks = { createRuntime: [{ path: "/bin/true" }] };
    } });
    expect((await c.run()).code).toBe(0);
  });

  test("a createRuntime hook has no descriptor of the runtime but its standard streams", async () => {
    await using c = make({ args: ["true"], edit: (spec, bundle) => {
      spec.hooks = { createRuntime: [{ path: "/bin/sh", args: listDescriptors(bundle.path("fds")), env: ["PATH=/bin:/usr/bin"] }] };
    } });
    await c.mustRun();
    expect(readFileSync(c.bundle.path("fds"), "utf8")).toBe("0\n1\n2\n");
  });

  test("nor has a startContainer hook", { races: { "runc 1": "leaves some open at times" } }, async () => {
    await using c = make({ args: ["true"], edit: (spec) => {
      spec.hooks = { startContainer: [{ path: "/bin/sh", args: listDescriptors("/fds"), env: ["PATH=/bin"] }] };
    } });
    await c.mustRun();
    expect(c.bundle.read("fds")).toBe("0\n1\n2\n");
  });
});

describeRuntime("hooks: failures", ({ test, make }) => {
  for (const [index, point] of (["prestart", "createRuntime", "createContainer"] as const).entries()) {
    test(`a failing ${point} hook fails create, stops the rest, calls poststop and leaves nothing`, async () => {
      await using c = make({ edit: withHooks((bundle) => ({
        ...Object.fromEntries(points.map((name) => [name, [hook(bundle, name)]])),
        [point]: [hook(bundle, point, "failing", { fail: 7 }), hook(bundle, point, "second")],
      })) });
      const result = await c.create();
      expect(result.code).toBe(1);
      await c.expectNothingLeft();
      expect(names(c.bundle)).toEqual([...points.slice(0, index), "failing", "poststop"]);
    });

    test(`the error of a failing ${point} hook says which hook it was, and nothing is left`, async () => {
      await using c = make({ edit: withHooks((bundle) => ({ [point]: [hook(bundle, point, "failing", { fail: 7 }), hook(bundle, point, "second")] })) });
      const result = await c.create();
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(/hook/);
      expect(result.stderr).toMatch(/exit status 7|\b7\b/);
      expect(names(c.bundle)).toEqual(["failing"]);
      await c.expectNothingLeft();
    });
  }

  test("a failing startContainer hook fails start, and the process never runs", async () => {
    await using c = make({ args: ["touch", "/ran"], edit: withHooks((bundle) => ({ startContainer: [hook(bundle, "startContainer", "failing", { fail: 3 })], poststart: [hook(bundle, "poststart")] })) });
    await c.mustCreate();
    await c.start();
    await c.exitStatus();
    expect(existsSync(`${c.rootfs}/ran`)).toBe(false);
    expect(await c.status()).toBe("stopped");
  });

  test("start itself reports a failing startContainer hook, and poststart is not called", { cannot: { "runc 1": "returns before the hook ends" } }, async () => {
    await using c = make({ args: ["touch", "/ran"], edit: withHooks((bundle) => ({ startContainer: [hook(bundle, "startContainer", "failing", { fail: 3 })], poststart: [hook(bundle, "poststart")] })) });
    await c.mustCreate();
    const result = await c.start();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/hook/);
    expect(names(c.bundle)).toEqual(["failing"]);
  });

  test("a failing poststart hook fails start and ends the container", { cannot: { "runc 1": "calls poststart at create" } }, async () => {
    await using c = make({ args: ["sleep", "1000"], edit: withHooks((bundle) => ({ poststart: [hook(bundle, "poststart", "failing", { fail: 3 })] })) });
    await c.mustCreate();
    const result = await c.start();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/hook/);
    await until("the process to end", () => !isAlive(c.pid));
  });

  test("a failing poststop hook is a warning, the others still run and delete succeeds", { cannot: { "runc 1": "stops at the first" } }, async () => {
    await using c = make({ edit: withHooks((bundle) => ({ poststop: [hook(bundle, "poststop", "failing", { fail: 9 }), hook(bundle, "poststop", "after")] })) });
    await c.mustBegin();
    await c.exitStatus();
    const result = await c.delete();
    expect(result.code).toBe(0);
    expect(result.stderr).toMatch(/hook/);
    expect(names(c.bundle)).toEqual(["failing", "after"]);
    await c.expectNothingLeft();
  });

  test("a hook that does not exist fails create and is named", async () => {
    await using c = make({ edit: (spec) => { spec.hooks = { createRuntime: [{ path: "/no/such/hook" }] }; } });
    const result = await c.create();
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/\/no\/such\/hook/);
    await c.expectNothingLeft();
  });

  for (const bad of [{ path: "relative" }, { path: "/bin/true", timeout: 0 }, { path: "/bin/true", timeout: -1 }]) {
    test(`the hook ${JSON.stringify(bad)} is refused`, { cannot: { "runc 1": "accepts it" } }, async () => {
      await using c = make({ edit: (spec) => { spec.hooks = { poststop: [bad] }; } });
      const result = await c.create();
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(/poststop/);
      await c.expectNothingLeft();
    });
  }

  for (const point of ["createRuntime", "createContainer"] as const) {
    test(`a ${point} hook over its timeout is killed and fails create`, async () => {
      await using c = make({ edit: (spec, bundle) => {
        spec.hooks = { [point]: [{ path: "/bin/sh", args: ["sh", "-c", `echo $$ > ${bundle.rootfs}/hook-pid; exec sleep 300`], env: ["PATH=/bin:/usr/bin"], timeout: 1 }] };
      } });
      const started = performance.now();
      const result = await c.create();
      expect(result.code).toBe(1);
      expect(result.stderr).toMatch(/hook/);
      expect(performance.now() - started).toBeLessThan(40_000);
      await c.expectNothingLeft();
    });
  }

  test("what a hook writes does not end up in the runtime's own output unless it fails", async () => {
    await using c = make({ args: ["true"], edit: (spec) => {
      spec.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", "echo to-stdout; echo to-stderr >&2"] }] };
    } });
    expect(await c.mustRun()).toBe("");
  });

  test("the standard error of a failing hook is part of the error", async () => {
    await using c = make({ edit: (spec) => {
      spec.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", "echo the reason >&2; exit 1"] }] };
    } });
    expect((await c.create()).stderr).toMatch(/the reason/);
  });
});
