// docs/kubernetes.md as somebody new follows it: its commands on a fresh Debian, and then its pod, by the CRI socket as the kubelet asks.
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CriClient } from "./cri/client.ts";
import { namespaceOptions } from "./cri/pods.ts";
import { BUSYBOX, debianWith, ensureImages, PAUSE } from "./images.ts";
import { Machine } from "./machine.ts";
import { deploy, parseYaml, prepareTools } from "./manifests.ts";
import { eventually, execute } from "./support.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/kubernetes.md"), "utf8");

/** The commands of the page, a block at a time. */
const blocks = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block = ""]) => block);
const [packages = "", copy = "", install = "", configure = "", look = "", remove = ""] = blocks;
const yaml = /^```yaml\n([\s\S]*?)^```$/m.exec(page)?.[1] ?? "";

// What a cluster's node has before: a file of containerd's that names the pause image, a network of pods, and (this host's root may not lower it) oom_score_adj.
const CONTAINERD = `version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "${PAUSE.name}"\nrestrict_oom_score_adj = true\n[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/usr/lib/cni"\nconf_dir = "/etc/cni/net.d"\n`;
const NETWORK = { cniVersion: "0.4.0", name: "pods", plugins: [{ type: "bridge", bridge: "cni0", isGateway: true, ipam: { type: "host-local", ranges: [[{ subnet: "10.98.0.0/24" }]] } }] };

// In the place of systemd, which is no part of a Debian without a kernel.
const SYSTEMCTL = `#!/bin/sh
[ "$*" = "restart containerd" ] || exit 1
if [ -e /run/containerd.pid ]; then
  kill $(cat /run/containerd.pid)
  while kill -0 $(cat /run/containerd.pid) 2>/dev/null; do sleep 0.1; done
fi
containerd >>/run/containerd.log 2>&1 </dev/null &
echo $! >/run/containerd.pid
until ctr version >/dev/null 2>&1; do sleep 0.2; done
`;

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly handler?: string;
  readonly spec?: { readonly runtimeClassName: string; readonly containers: readonly { readonly name: string; readonly image: string; readonly command: string[] }[] };
}

let node: Machine;

beforeAll(async () => {
  await prepareTools();
  await ensureImages(BUSYBOX, PAUSE);
  const names = packages.trim().replace(/^apt-get install --yes /, "").split(" ");
  node = await Machine.startFrom(await debianWith([...names, "ca-certificates"]), "bare-node");
  node.write("/etc/containerd/config.toml", CONTAINERD);
  node.write("/etc/cni/net.d/pods.conflist", JSON.stringify(NETWORK));
  node.write("/usr/local/bin/systemctl", SYSTEMCTL);
  await node.ok("chmod", "755", "/usr/local/bin/systemctl");
  await node.ok("systemctl", "restart", "containerd");
  mkdirSync(node.outside("/root/images"), { recursive: true });
  for (const { archive } of [BUSYBOX, PAUSE]) {
    cpSync(archive, node.outside("/root/images/image.tar"));
    await node.ok("ctr", "--namespace", "k8s.io", "image", "import", "/root/images/image.tar");
  }
  expect((await execute(["sh", join(deploy, "pack.sh"), node.outside("/root/tssandbox")])).code).toBe(0);
}, 400_000);
afterAll(async () => node?.[Symbol.asyncDispose]());

const follow = (block: string) => node.run(["sh", "-ec", `cd /root\n${block}`], { timeout: 120 });

describe("docs/kubernetes.md", () => {
  test("has the blocks that are followed here, and no other", () => expect(blocks).toHaveLength(6));

  test("the packages are named as Debian has them", async () => expect(await follow(packages)).toMatchObject({ code: 0 }));

  test("the program is installed, and a container runs", async () => {
    expect(await follow(copy)).toMatchObject({ code: 0 });
    const { code, stdout, stderr } = await follow(install);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^would link [\s\S]*\nrun systemctl restart containerd\ncontainerd: a container has run\n$/);
    expect(await node.read("/etc/containerd/config.toml")).toContain(CONTAINERD);
    expect(await follow(configure)).toMatchObject({ code: 0 });
  });

  test("its manifests are those of deploy/", async () => {
    const [runtimeClass, pod] = (await parseYaml(yaml)) as Manifest[];
    const all = (await parseYaml(readFileSync(join(deploy, "kubernetes/tssandbox.yaml"), "utf8"))) as Manifest[];
    expect(all).toContainEqual(runtimeClass);
    expect([pod]).toEqual(await parseYaml(readFileSync(join(deploy, "kubernetes/pod.yaml"), "utf8")));
  });

  test("the pod runs, and what the page says about it is so", async () => {
    const [runtimeClass, pod] = (await parseYaml(yaml)) as Manifest[];
    const main = pod?.spec?.containers[0];
    if (runtimeClass?.handler === undefined || pod?.spec?.runtimeClassName !== runtimeClass.metadata.name || main === undefined) throw new Error("no pod of the class");
    // Without a registry, busybox under that name.
    await node.ok("ctr", "--namespace", "k8s.io", "image", "tag", BUSYBOX.name, `docker.io/library/${main.image}`);
    using cri = new CriClient(node.outside("/run/containerd/containerd.sock"));
    const sandboxConfig = {
      metadata: { name: pod.metadata.name, uid: "1", namespace: "default", attempt: 0 },
      logDirectory: "/var/log/pods",
      linux: { cgroupParent: node.workspace.cgroup, sysctls: {}, securityContext: { namespaceOptions } },
    };
    const podSandboxId = await cri.runPod(sandboxConfig, runtimeClass.handler);
    const linux = { resources: {}, securityContext: { namespaceOptions } };
    const id = await cri.create({ podSandboxId, sandboxConfig, config: { metadata: { name: main.name, attempt: 0 }, image: { image: `docker.io/library/${main.image}` }, command: main.command, logPath: "main.log", linux } });
    await cri.start(id);
    await eventually("its log", async () => /stdout F \S+-tssandbox$/m.test((await node.read("/var/log/pods/main.log")) ?? ""));
    const kernel = /^`kubectl logs sandboxed` shows the sandbox's kernel, `(.*)`/m.exec(page)?.[1] ?? "";
    expect(await node.read("/var/log/pods/main.log")).toContain(` stdout F ${kernel}\n`);
    const { code, stdout } = await follow(look);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^${podSandboxId} +sentry +running .* default/sandboxed .*/run/containerd/tssandbox/k8s.io$`, "m"));
    expect(stdout).toMatch(/^tssandbox_container_info\{.*pod="sandboxed",namespace="default"/m);
    // The floor that was configured.
    await expect(cri.runPod({ ...sandboxConfig, metadata: { ...sandboxConfig.metadata, name: "less", uid: "2" } }, "tssandbox-namespace")).rejects.toThrow(/mode: namespace is below the floor, sentry/);
    await cri.removePod(podSandboxId);
  });

  test("away again: nothing is left", async () => {
    expect(await follow(remove)).toMatchObject({ code: 0 });
    expect(await node.read("/etc/containerd/config.toml")).toBe(CONTAINERD);
    expect((await node.sh("ls -d /etc/tssandbox /opt/tssandbox /run/containerd/tssandbox/k8s.io/*; ls /usr/local/bin | grep tssandbox; ls /etc/containerd")).stdout).toBe("config.toml\n");
  });
});
