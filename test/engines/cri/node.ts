/** A node as the kubelet finds it: containerd with the CRI plugin, bridge networking, and a handler for each mode. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensurePackages } from "../../packages.ts";
import { Containerd, type CriNode } from "../containerd.ts";
import { BUSYBOX, PAUSE } from "../images.ts";
import { ownShim } from "../shim-driver.ts";
import type { Workspace } from "../support.ts";

/** A handler's name by its mode, as docs/kubernetes.md has them. */
export const HANDLERS = { namespace: "tssandbox-namespace", sentry: "tssandbox" } as const;

/** Whose pods may have a user namespace, with containerd 2. */
export const USERNS_HANDLERS = { namespace: "tssandbox-namespace-userns", sentry: "tssandbox-userns" } as const;

/** Whose sandbox is made by the shim itself, with containerd 2. */
export const SANDBOXER_HANDLERS = { namespace: "tssandbox-namespace-sandboxer", sentry: "tssandbox-sandboxer" } as const;

/** For comparison: containerd's own. */
export const RUNC_HANDLER = "runc";

/** Of mode sentry, each of whose containers has a hook that takes its time: half a second, and as long as there is the file `holdOf`. */
export const SLOW_HANDLER = "tssandbox-slow";

export const holdOf = (workspace: Workspace): string => workspace.path("hold");

type Mode = keyof typeof HANDLERS;
const MODES: readonly Mode[] = ["namespace", "sentry"];

/** @param binaries of a containerd that is not installed. */
export async function startNode(binaries?: string): Promise<Containerd> {
  await ensurePackages(["containernetworking-plugins", "iproute2", "util-linux"]);
  return await Containerd.startFor({ ...ownShim("sentry"), ...(binaries === undefined ? {} : { binaries }), cri: node }, PAUSE, BUSYBOX);
}

/** The file of the network namespace that stands for the node's. */
export const networkOf = (workspace: Workspace): string => workspace.path("network");

const node: CriNode = {
  launcher: (workspace) => ["nsenter", `--net=${makeNetwork(workspace)}`],
  configuration: (workspace) => {
    for (const mode of MODES) writeFileSync(workspace.path(`${mode}.json`), JSON.stringify({ mode, root: workspace.path("runtime") }));
    mkdirSync(workspace.path("cni"), { recursive: true });
    writeFileSync(workspace.path("cni/pods.conflist"), JSON.stringify(bridge(workspace)));
    writeFileSync(workspace.path("slow.json"), JSON.stringify(slowSpec(workspace)));
    const slow = handler(workspace, SLOW_HANDLER, "sentry", `base_runtime_spec = "${workspace.path("slow.json")}"`);
    const sandboxers = MODES.map((mode) => sandboxerHandler(workspace, mode)).join("");
    return plugin(workspace) + MODES.map((mode) => handler(workspace, HANDLERS[mode], mode)).join("") + sandboxers + MODES.map((mode) => usernsHandler(workspace, mode)).join("") + slow + runc();
  },
};

/** The network namespace that stands for the node's: bridge and addresses go with it. */
function makeNetwork(workspace: Workspace): string {
  const file = networkOf(workspace);
  if (existsSync(file)) return file;
  writeFileSync(file, "");
  execFileSync("unshare", [`--net=${file}`, "ip", "link", "set", "lo", "up"]);
  return file;
}

// oom_score_adj: the tests' root may not lower it.
const plugin = (workspace: Workspace): string => `
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${PAUSE.name}"
restrict_oom_score_adj = true
stream_server_port = "0"
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "${workspace.path("cni")}"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "${HANDLERS.sentry}"
`;

const handler = (workspace: Workspace, name: string, mode: Mode, more = ""): string => `
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.${name}]
runtime_type = "io.containerd.tssandbox.v1"
pod_annotations = ["dev.tssandbox.*"]
${more}
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.${name}.options]
ConfigPath = "${workspace.path(`${mode}.json`)}"
`;

const usernsHandler = (workspace: Workspace, mode: Mode): string => `
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.${USERNS_HANDLERS[mode]}]
runtime_type = "io.containerd.runc.v2"
runtime_path = "${join(ownShim(mode).directory ?? "", "containerd-shim-tssandbox-v1")}"
pod_annotations = ["dev.tssandbox.*"]
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.${USERNS_HANDLERS[mode]}.options]
BinaryName = "${workspace.path(`${mode}.json`)}"
`;

/** containerd 2.1 takes no options of our type there: a script names the handler's file. */
function sandboxerHandler(workspace: Workspace, mode: Mode): string {
  const script = workspace.path(`containerd-shim-${mode}-v1`);
  writeFileSync(script, `#!/bin/sh\nexec ${join(ownShim(mode).directory ?? "", "containerd-shim-tssandbox-v1")} -handler ${workspace.path(`${mode}.json`)} "$@"\n`, { mode: 0o755 });
  return `
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.${SANDBOXER_HANDLERS[mode]}]
runtime_type = "${script}"
sandboxer = "shim"
`;
}

const runc = (): string => `
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.${RUNC_HANDLER}]
runtime_type = "io.containerd.runc.v2"
`;

/** containerd's default specification, with a hook. */
function slowSpec(workspace: Workspace): object {
  const spec = JSON.parse(execFileSync("ctr", ["oci", "spec"], { encoding: "utf8" })) as object;
  return { ...spec, hooks: { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", `sleep 0.5; while [ -e ${holdOf(workspace)} ]; do sleep 0.1; done`] }] } };
}

const bridge = (workspace: Workspace): object => ({
  cniVersion: "0.4.0",
  name: "pods",
  plugins: [{ type: "bridge", bridge: "cni0", isGateway: true, ipam: { type: "host-local", dataDir: workspace.path("addresses"), ranges: [[{ subnet: "10.97.0.0/24" }]] } }],
});
