/** Where a shim listens. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EADDRINUSE, ECONNREFUSED, ENOENT } from "../linux/abi/errno.ts";
import { isErrno } from "../linux/errors.ts";
import type { Fd } from "../linux/fd.ts";
import { setUmask } from "../linux/process.ts";
import { connectUnix, listenUnix } from "../linux/socket.ts";
import type { ShimArguments } from "./arguments.ts";

const DIRECTORY = "/run/containerd/s";
const SCHEME = "unix://";

/** Containers with the same value of one of these share a shim. Source: containerd, runtime/v2/runc/manager, groupLabels. */
const GROUP_ANNOTATIONS = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];

/** The id that the shim of the bundle's container goes by: that of its pod, or its own. */
export function groupOf(bundle: string, id: string): string {
  if (isSandboxBundle(bundle)) return id;
  const { annotations = {} } = JSON.parse(readFileSync(join(bundle, "config.json"), "utf8")) as { annotations?: Record<string, string> };
  return GROUP_ANNOTATIONS.map((name) => annotations[name]).find((group) => group !== undefined && group !== "") ?? id;
}

/** containerd 2 starts the shim of a sandbox (`sandboxer = "shim"`) with a bundle that has no configuration: that comes with CreateSandbox. */
export const isSandboxBundle = (bundle: string): boolean => !existsSync(join(bundle, "config.json"));

/** As containerd's own shims are addressed: short enough for a socket, and the same for all of a group. */
export function socketPath({ address, namespace }: ShimArguments, group: string): string {
  return join(DIRECTORY, createHash("sha256").update(join(address, namespace, group)).digest("hex"));
}

/** @returns a listening socket, or undefined where somebody answers there already. @throws SysError */
export function claimSocket(path: string): Fd | undefined {
  mkdirSync(DIRECTORY, { recursive: true, mode: 0o711 });
  const listen = () => {
    const mask = setUmask(0o177);
    try {
      return listenUnix(path);
    } finally {
      setUmask(mask);
    }
  };
  try {
    return listen();
  } catch (error) {
    if (!isErrno(error, EADDRINUSE)) throw error;
    if (answers(path)) return undefined;
    rmSync(path, { force: true });
    return listen();
  }
}

/** A socket whose shim was killed is still there. */
function answers(path: string): boolean {
  try {
    connectUnix(path).close();
    return true;
  } catch (error) {
    if (isErrno(error, ECONNREFUSED, ENOENT)) return false;
    throw error;
  }
}

/** containerd finds the shim by this file after its own restart. */
export const writeAddress = (bundle: string, path: string): void => replace(join(bundle, "address"), SCHEME + path);

/** The launcher finds a pod's shim by this one, which is in the bundle that the shim was started for. */
export const writePid = (bundle: string, pid: number): void => replace(join(bundle, "shim.pid"), `${pid}\n`);

function replace(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

export const addressOf = (path: string) => SCHEME + path;

/** Removes the socket that a bundle names, where nobody answers there any more. */
export function removeDeadSocket(bundle: string): void {
  const path = readAddress(bundle);
  if (path !== undefined && !answers(path)) rmSync(path, { force: true });
}

function readAddress(bundle: string): string | undefined {
  try {
    const address = readFileSync(join(bundle, "address"), "utf8");
    return address.startsWith(SCHEME) ? address.slice(SCHEME.length) : undefined;
  } catch {
    return undefined;
  }
}
