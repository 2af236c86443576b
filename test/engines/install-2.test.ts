/** tssandbox install with containerd 2, which then lets the handlers' pods have user namespaces (those run in shim-userns.test.ts). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Machine } from "./machine.ts";
import { fetchContainerd2 } from "./newer.ts";
import { eventually, RUNTIME } from "./support.ts";

let machine: Machine;
beforeAll(async () => {
  const binaries = await fetchContainerd2();
  machine = await Machine.start("install-2");
  for (const name of ["containerd", "ctr"]) await machine.ok("ln", "-s", join(binaries, name), `/usr/local/bin/${name}`);
});
afterAll(async () => machine?.[Symbol.asyncDispose]());

const FILE = "/etc/containerd/config.toml";
const OWN = `version = 3\n\n[plugins."io.containerd.cri.v1.runtime"]\n  restrict_oom_score_adj = true\n`;
const tssandbox = (...args: readonly string[]) => machine.run([RUNTIME, ...args], { timeout: 120 });

test("its handlers are of a type that containerd asks, and answer that they can; a container runs", async () => {
  machine.write(FILE, OWN);
  expect(await tssandbox("install", "--containerd", "--no-verify")).toMatchObject({ code: 0 });
  const dump = await machine.ok("containerd", "config", "dump");
  expect(dump).toMatch(/\.runtimes\.tssandbox\]\n\s+runtime_type = 'io\.containerd\.runc\.v2'\n\s+runtime_path = '\/usr\/local\/bin\/containerd-shim-tssandbox-v1'/);
  machine.daemon("containerd.log", "containerd", "--log-level", "debug");
  await eventually("containerd answers", async () => (await machine.run(["ctr", "version"])).code === 0, 60);
  const log = () => readFileSync(machine.workspace.path("containerd.log"), "utf8");
  for (const name of ["tssandbox", "tssandbox-namespace", "tssandbox-vm"]) await eventually(`${name} has answered`, () => log().includes(`runtime \\"${name}\\" supports CRI userns: true`), 60);
  expect(await tssandbox("install", "--containerd")).toMatchObject({ code: 0, stdout: "containerd: nothing to change\ncontainerd: a container has run\n" });
});

test("uninstalled, the file is what it was", async () => {
  expect(await tssandbox("uninstall", "--containerd")).toMatchObject({ code: 0 });
  expect(await machine.read(FILE)).toBe(OWN);
});
