import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { parseConfig } from "../../runtime/spec/validate.ts";
import { NamespaceMode, PodSandboxConfigSchema } from "../proto/generated/pod_pb.js";
import { resolvConf, withPodFiles } from "./files.ts";
import { pauseSpec } from "./pod.ts";

const config = create(PodSandboxConfigSchema, {
  metadata: { name: "web", uid: "u1", namespace: "default" },
  hostname: "web-0",
  annotations: { "dev.tssandbox.policy": "strict", "example.com/other": "x" },
  linux: { cgroupParent: "/kubepods.slice/pod1.slice", sysctls: { "net.core.somaxconn": "1024" }, resources: { memoryLimitInBytes: 1024n } },
});
const spec = (changed = config, user?: string) => parseConfig(JSON.stringify(pauseSpec({ id: "abc", config: changed, root: "/pause", network: "/run/netns/1", user }))).value;

test("a pod's sandbox: its namespaces, cgroup and sysctls, and of its annotations those that are ours", () => {
  const { linux, annotations, hostname } = spec();
  expect(hostname).toBe("web-0");
  expect(linux?.namespaces).toEqual([{ type: "mount" }, { type: "pid" }, { type: "ipc" }, { type: "uts" }, { type: "network", path: "/run/netns/1" }]);
  expect(linux).toMatchObject({ cgroupsPath: "pod1.slice:cri-containerd:abc", sysctl: { "net.core.somaxconn": "1024" } });
  expect(annotations).toMatchObject({ "dev.tssandbox.policy": "strict", "io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-id": "abc", "io.kubernetes.cri.sandbox-memory": "1024" });
  expect(annotations).not.toHaveProperty("example.com/other");
});

test("in the node's network and ipc", () => {
  const shared = create(PodSandboxConfigSchema, { linux: { securityContext: { namespaceOptions: { network: NamespaceMode.NODE, ipc: NamespaceMode.NODE } } } });
  const { linux, hostname } = spec(shared);
  expect(hostname || undefined).toBeUndefined();
  expect(linux?.namespaces).toEqual([{ type: "mount" }, { type: "pid" }]);
  expect(withPodFiles({ ociVersion: "1.0.0" }, "/b", shared).mounts?.map(({ destination }) => destination)).not.toContain("/dev/shm");
});

test("with a user namespace", () => {
  const maps = [{ hostId: 200_000, containerId: 0, length: 65_536 }];
  const mapped = create(PodSandboxConfigSchema, { linux: { securityContext: { namespaceOptions: { usernsOptions: { mode: NamespaceMode.POD, uids: maps, gids: maps } } } } });
  const { linux } = spec(mapped, "/proc/1/fd/9");
  expect(linux?.namespaces).toContainEqual({ type: "user", path: "/proc/1/fd/9" });
  expect(linux?.uidMappings).toEqual([{ containerID: 0, hostID: 200_000, size: 65_536 }]);
});

test("a container has the pod's files, but for what it has its own of", () => {
  const own = { destination: "/etc/hosts", type: "bind", source: "/kubelet/hosts" };
  const mounts = withPodFiles({ ociVersion: "1.0.0", root: { path: "rootfs", readonly: true }, mounts: [own, { destination: "/dev/shm", type: "tmpfs", source: "shm" }] }, "/b", config).mounts ?? [];
  expect(mounts.map(({ destination, source }) => [destination, source])).toEqual([["/etc/hosts", "/kubelet/hosts"], ["/etc/hostname", "/b/hostname"], ["/etc/resolv.conf", "/b/resolv.conf"], ["/dev/shm", "/b/rootfs"]]);
  expect(mounts[1]?.options).toContain("ro");
});

test("resolv.conf", () => {
  expect(resolvConf({ servers: ["10.0.0.1", "10.0.0.2"], searches: ["a", "b"], options: ["ndots:5"] })).toBe("search a b\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions ndots:5\n");
  expect(resolvConf({ servers: [], searches: [], options: [] })).toBe("");
});
