/**
 * The files that containerd's own controller makes for a pod, and with ours nobody else: what the pod's containers find in /etc, and their common /dev/shm.
 * In the sandbox's bundle, which goes with the sandbox. Source: containerd, internal/cri/server/podsandbox/sandbox_run_linux.go, setupSandboxFiles;
 * internal/cri/server/container_create.go, linuxContainerMounts.
 */
import { chmodSync, copyFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { MS_NODEV, MS_NOEXEC, MS_NOSUID } from "../../linux/abi/mount.ts";
import { pauseProgram } from "../../linux/exec.unsafe.ts";
import { mount } from "../../linux/mount.ts";
import type { DNSConfig, PodSandboxConfig } from "../proto/generated/pod_pb.js";
import type { Mount, Spec } from "../../runtime/spec/config.ts";
import { rootOf } from "../rootfs.ts";
import { hasHostIpc, mappings, PAUSE_PROGRAM } from "./pod.ts";

const SHM = "/dev/shm";
const SHM_BYTES = 64 << 20;

/** Of the bundle's files, where containers have them. */
const ETC = { hostname: "/etc/hostname", hosts: "/etc/hosts", "resolv.conf": "/etc/resolv.conf" } as const;

/**
 * One for all sandboxes, and read-only: containerd lets none but root into the directory of their bundles, not even a pod's.
 * @param states the containers' state directory, beside which it is. @returns its path.
 */
export function makePauseRoot(states: string): string {
  const root = join(dirname(states), ".pause");
  for (const directory of ["", "proc", "dev"]) {
    mkdirSync(join(root, directory), { recursive: true });
    // Whatever containerd's umask is.
    chmodSync(join(root, directory), 0o755);
  }
  const program = join(root, PAUSE_PROGRAM);
  const made = `${program}.${process.pid}`;
  writeFileSync(made, pauseProgram());
  chmodSync(made, 0o755);
  renameSync(made, program);
  return root;
}

/** `rootfs` is what the pod's containers have at /dev/shm: containerd unmounts whatever it finds there. @throws SysError, Error of node:fs. */
export function makePodFiles(bundle: string, config: PodSandboxConfig): void {
  writeFileSync(join(bundle, "hostname"), `${config.hostname || hostname()}\n`);
  copyFileSync(ETC.hosts, join(bundle, "hosts"));
  if (config.dnsConfig === undefined) copyFileSync(ETC["resolv.conf"], join(bundle, "resolv.conf"));
  else writeFileSync(join(bundle, "resolv.conf"), resolvConf(config.dnsConfig));
  for (const name of Object.keys(ETC)) chmodSync(join(bundle, name), 0o644);
  if (!hasHostIpc(config)) mount("shm", rootOf(bundle), "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, `mode=1777,size=${SHM_BYTES}`);
}

const line = ([keyword, ...words]: readonly string[]) => (words.length > 0 ? `${[keyword, ...words].join(" ")}\n` : "");

/** Exported for its test. */
export function resolvConf({ servers, searches, options }: Pick<DNSConfig, "servers" | "searches" | "options">): string {
  return [line(["search", ...searches]), ...servers.map((server) => `nameserver ${server}\n`), line(["options", ...options])].join("");
}

/** @param bundle of the sandbox. @returns a container's configuration with those files, but for what it has its own of. */
export function withPodFiles(spec: Spec, bundle: string, config: PodSandboxConfig): Spec {
  // containerd's default, where its own controller would have put the pod's.
  const mounts = (spec.mounts ?? []).filter(({ destination, type }) => destination !== SHM || type !== "tmpfs" || hasHostIpc(config));
  const own = new Set(mounts.map(({ destination }) => destination));
  const wanted: Mount[] = [
    ...Object.entries(ETC).map(([name, destination]) => ({ destination, type: "bind", source: join(bundle, name), options: ["rbind", "rprivate", spec.root?.readonly === true ? "ro" : "rw"], ...mappings(config) })),
    ...(hasHostIpc(config) ? [] : [{ destination: SHM, type: "bind", source: rootOf(bundle), options: ["rbind", "rprivate", "rw", "nosuid", "noexec", "nodev"] }]),
  ];
  return { ...spec, mounts: [...mounts, ...wanted.filter(({ destination }) => !own.has(destination))] };
}

/** @param container whose configuration is changed, by its bundle. */
export function addPodFiles(container: string, bundle: string, config: PodSandboxConfig): void {
  const file = join(container, "config.json");
  writeFileSync(file, JSON.stringify(withPodFiles(JSON.parse(readFileSync(file, "utf8")) as Spec, bundle, config)));
}
