// A parent that makes many containers must not lose a descriptor with any of them.
import { afterAll, expect, test } from "vitest";
import { fileURLToPath } from "node:url";
import { makeBundle, type BundleOptions } from "../../support/bundle.ts";
import { runCase } from "../../support/forked.ts";
import { removeWorkDir } from "../../support/paths.ts";

afterAll(removeWorkDir);

const script = fileURLToPath(new URL("scripts/parent.ts", import.meta.url));

function inParent(name: "run" | "fail", edit: NonNullable<BundleOptions["edit"]>): unknown {
  using bundle = makeBundle({ edit });
  return runCase(script, name, bundle.dir, bundle.id);
}

test("a container that ran leaves none", () => {
  expect(inParent("run", (spec, bundle) => {
    bundle.file("file", "");
    spec.mounts.push({ destination: "/bound", type: "bind", source: bundle.rootfs, options: ["bind"] });
  })).toBe(0);
});

type Break = [what: string, message: RegExp, edit: NonNullable<BundleOptions["edit"]>];

const breaks: Break[] = [
  ["a bind mount without a source, after one with", /no-such-source/, (spec, bundle) => {
    for (const source of [bundle.rootfs, "/no-such-source"]) spec.mounts.push({ destination: "/bound", type: "bind", source, options: ["bind"] });
  }],
  ["a namespace that is none, after one that is", /no-such-namespace/, (spec) => {
    spec.linux.namespaces = [{ type: "mount" }, { type: "ipc", path: "/proc/self/ns/ipc" }, { type: "uts", path: "/no-such-namespace" }];
  }],
  ["a seccomp listener that nobody serves", /no-such-socket/, (spec) => {
    spec.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW", listenerPath: "/no-such-socket", syscalls: [{ names: ["getcwd"], action: "SCMP_ACT_NOTIFY" }] };
  }],
  ["a program that is missing, which init finds", /no-such-program/, (spec) => { spec.process!.args = ["no-such-program"]; }],
];

for (const [what, message, edit] of breaks) {
  test(`${what}: nor does a create that fails`, () => {
    expect(inParent("fail", edit)).toEqual({ grown: 0, message: expect.stringMatching(message) });
  });
}
