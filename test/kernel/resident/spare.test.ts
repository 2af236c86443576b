// A container whose init is a process from before it was asked for is a container like any other.
import { mkdirSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { fileURLToPath } from "node:url";
import { makeBundle, type BundleOptions } from "../../support/bundle.ts";
import { runCase } from "../../support/forked.ts";
import { removeWorkDir } from "../../support/paths.ts";

afterAll(removeWorkDir);

const script = fileURLToPath(new URL("scripts/spare.ts", import.meta.url));
const ended = (code: number) => ({ kind: "exited", code });

function withBundle(name: string, edit: NonNullable<BundleOptions["edit"]> = () => undefined): unknown {
  using bundle = makeBundle({ edit });
  return runCase(script, name, bundle.dir, bundle.id);
}

/** All that a process can tell of itself and of what was made for it; numbers of mounts, devices and namespaces differ between any two. */
const TELL = `
exec 3>/volume/told
sed -E 's/^[0-9]+ [0-9]+ [0-9]+:[0-9]+ //' /proc/self/mountinfo >&3
grep -E '^(Umask|Uid|Gid|Groups|NoNewPrivs|Seccomp|Seccomp_filters|Sig(Blk|Ign|Cgt)|Cap[A-Z][a-z]+|NSpid):' /proc/1/status >&3
cat /proc/1/cgroup /proc/1/limits /proc/1/oom_score_adj /proc/sys/kernel/hostname /proc/net/dev >&3
tr '\\0' '\\n' < /proc/1/environ >&3
echo /proc/1/fd/* >&3
find /dev /bound -exec stat -c '%n %A %u %g %t %T' {} + >&3
readlink /proc/1/exe >&3; pwd >&3; echo /proc/[0-9]* >&3
exit 23`;

test("with a spare, with its network made ahead or not, and without one a program finds the same, and ends with the same", () => {
  const [plain, ...spared] = withBundle("each", (spec, bundle) => {
    mkdirSync(bundle.path("volume"));
    bundle.file("file", "");
    spec.process!.args = ["sh", "-c", TELL];
    spec.process!.env = ["PATH=/bin", "SAID=so"];
    spec.hostname = "spared";
    spec.mounts.push({ destination: "/volume", type: "bind", source: bundle.path("volume"), options: ["bind"] });
    spec.mounts.push({ destination: "/bound", type: "bind", source: bundle.rootfs, options: ["rbind", "ro"] });
    spec.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["chroot"], action: "SCMP_ACT_ERRNO" }] };
  }) as { readonly told: string }[];
  expect(plain).toEqual({ spent: false, created: "created", started: true, code: 23, told: expect.stringContaining("spared") });
  expect(spared).toEqual([{ ...plain, spent: true }, { ...plain, spent: true }]);
});

test("a spare has its parent's namespaces, rights and mounts, and no descriptor but its own; without a parent's end to listen at it ends", () => {
  const { same, descriptors, ended: end } = runCase(script, "what a spare has") as { same: string[]; descriptors: string[]; ended: unknown };
  expect(same).toEqual([]);
  // Node's eventfds are private ones; its signal pipe has to keep its numbers.
  expect(descriptors.filter((one) => !/^(anon_inode:\[eventfd\]|pipe:)$/.test(one))).toEqual(["/dev/null", "/dev/null", "/dev/null", "/proc", "socket:"]);
  expect(end).toEqual(ended(0));
});

test("what no order can tell is done by a fork, and the spare ends", () => {
  expect(withBundle("preserved descriptors")).toEqual({ spent: false, created: "created", started: true, code: 0 });
});

test("a spare with a network of its own is not for a container that has the host's", () => {
  const told = withBundle("the host's network", (spec) => { spec.linux.namespaces = spec.linux.namespaces?.filter(({ type }) => type !== "network") ?? []; });
  expect(told).toEqual({ spent: false, created: "created", started: true, code: 0 });
});

test("a spare that has died is none", () => {
  expect(withBundle("dead")).toEqual(ended(0));
});

test("a set-up that fails fails with the same words, and leaves neither of the two processes", () => {
  const { messages, children } = withBundle("fails", (spec) => { spec.process!.args = ["no-such-program"]; }) as { messages: { message: string; left: boolean }[]; children: unknown };
  expect(messages[0]?.message).toContain("no-such-program");
  expect(messages[1]).toEqual(messages[0]);
  expect(children).toBe("none");
});

test("a spare does not outlive its parent", () => {
  // Its parent's end of the socket is closed before the kernel sends the signal that ends it: it may have seen that, and left.
  expect([{ kind: "signaled", signal: 9 }, { kind: "exited", code: 0 }]).toContainEqual(withBundle("orphan"));
});

test("the old process stays as long as init is none of the container's program, and ends when that is killed", () => {
  expect(withBundle("unstarted")).toEqual({ alive: true, ended: ended(0) });
});

test("20 processes that go on as another one find their heap whole, and the old one ends", () => {
  expect(runCase(script, "siblings", "20")).toEqual({ "old 0": 20, "new 7": 20 });
});

test("where the kernel refuses, the old one goes on, with no descriptor more", () => {
  expect(runCase(script, "refused")).toEqual(ended(7));
});
