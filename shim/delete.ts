/** `delete`: what containerd runs when the shim is gone, killed perhaps: whatever it has left of a container goes. */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate, timestampNow } from "@bufbuild/protobuf/wkt";
import { messageOf } from "../linux/errors.ts";
import { deleteContainer } from "../runtime/container/delete.ts";
import { Container } from "../runtime/container/store.ts";
import { Logger } from "../runtime/log.ts";
import { removeDeadSocket } from "./address.ts";
import type { ShimArguments } from "./arguments.ts";
import { defaultOptions, OPTIONS_FILE, type RuntimeOptions } from "./options.ts";
import { DeleteResponseSchema } from "./proto/generated/task_pb.js";
import type { Exit } from "./reaper.ts";
import { unmountRoot } from "./rootfs.ts";

/** Nobody has waited for it: as if it had been killed, which it has if it still ran. */
const KILLED = 137;

/** The answer for a container of which nothing is left: the launcher gives it, without a Node. In the bundle, which is containerd's working directory for `delete`. */
export function answerDelete(bundle: string, pid: number, exit: Exit): void {
  const file = join(bundle, "deleted");
  writeFileSync(`${file}.new`, toBinary(DeleteResponseSchema, create(DeleteResponseSchema, { pid, exitStatus: exit.code, exitedAt: timestampFromDate(exit.at) })), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** @returns the answer, encoded. @throws SysError, CgroupError where something cannot be removed. */
export function deleteRemains({ namespace, bundle: given, id: named }: ShimArguments): Uint8Array {
  const bundle = given || process.cwd();
  const id = named || basename(bundle);
  const { root } = optionsOf(bundle, namespace);
  const pid = pidOf(root, id);
  try {
    if (existsSync(join(bundle, SANDBOX_FILE))) deleteMembers(root, id);
  } finally {
    deleteContainer(root, id, true, logger());
  }
  unmountRoot(bundle);
  removeDeadSocket(bundle);
  return toBinary(DeleteResponseSchema, create(DeleteResponseSchema, { pid, exitStatus: KILLED, exitedAt: timestampNow() }));
}

/** In the bundle of a sandbox that is not a container of containerd's. */
export const SANDBOX_FILE = "tssandbox-sandbox";

/**
 * containerd asks for no `delete` of the containers of such a sandbox, unless it has been restarted. Source: containerd, core/runtime/v2/shim_manager.go, Start.
 * @throws Error naming those that cannot be deleted, which keep no others.
 */
export function deleteMembers(root: string, sandbox: string): void {
  const members = Container.list(root).filter(({ record }) => record.id !== sandbox && record.annotations["io.kubernetes.cri.sandbox-id"] === sandbox);
  const failures = members.flatMap(({ record }) => {
    try {
      deleteContainer(root, record.id, true, logger());
      unmountRoot(record.bundle);
      return [];
    } catch (error) {
      return [`${record.id}: ${messageOf(error)}`];
    }
  });
  if (failures.length > 0) throw new Error(failures.join("; "));
}

const logger = () => new Logger({ format: "text", debug: false });

function optionsOf(bundle: string, namespace: string): RuntimeOptions {
  try {
    return JSON.parse(readFileSync(join(bundle, OPTIONS_FILE), "utf8")) as RuntimeOptions;
  } catch {
    return defaultOptions(namespace);
  }
}

function pidOf(root: string, id: string): number {
  try {
    return Container.open(root, id).record.pid;
  } catch {
    return 0;
  }
}
