/** The end of a container's egress rules. `egress.json` in its state directory, written before there are any, says what there is to end. */
import { readFileSync, writeFileSync } from "node:fs";
import { EINVAL, ENOENT } from "../../linux/abi/errno.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { isErrno } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { open } from "../../linux/file.ts";
import { CLONE_NEW, setNamespace } from "../../linux/namespace.ts";
import { openNetfilter } from "../../linux/netlink/netfilter-socket.ts";
import { deleteTable } from "../../linux/netlink/nftables.ts";
import { kill, tryWaitPid } from "../../linux/process.ts";
import { isAlive } from "../container/process-info.ts";
import type { OwnProcess } from "../sandbox/record.ts";
import { tableOf } from "./ruleset.ts";

const FILE = "egress.json";

interface EgressRecord {
  /** Of a network namespace that is there before the container and after it. */
  readonly path: string | undefined;
  /** In a sandbox of several containers it would outlive the container. */
  readonly proxy?: OwnProcess;
}

/** What has been refused to a container, as the proxy has it in the sandbox's log (proxy.ts). */
export function deniedIn(directory: string): string[] {
  if (readRecord(directory) === undefined) return [];
  const text = readFileSync(`${directory}/sandbox.log`, "utf8");
  return [...text.matchAll(/msg="egress: denied: ([^";]+)/g)].map(([, what = ""]) => what);
}

export function writeEgressRecord(directory: string, record: EgressRecord): void {
  writeFileSync(`${directory}/${FILE}`, JSON.stringify(record), { mode: 0o600 });
}

/** Preconditions: the container's processes have ended; nobody is let out by this. */
export function endEgress(directory: string, id: string): void {
  const record = readRecord(directory);
  if (record?.proxy !== undefined && isAlive(record.proxy.pid, record.proxy.startTime)) {
    kill(record.proxy.pid, SIGNALS.SIGKILL);
    tryWaitPid(record.proxy.pid);
  }
  if (record?.path !== undefined) removeTable(record.path, tableOf(id));
}

function readRecord(directory: string): EgressRecord | undefined {
  try {
    return JSON.parse(readFileSync(`${directory}/${FILE}`, "utf8")) as EgressRecord;
  } catch (error) {
    if (isErrno(error, ENOENT)) return undefined;
    throw error;
  }
}

/** The namespace may be gone, and something else in its place. */
function removeTable(path: string, table: string): void {
  try {
    using namespace = open(path, fcntl.O_RDONLY);
    within(namespace, () => {
      using netfilter = openNetfilter();
      netfilter.commit([deleteTable(table)], "rules");
    });
  } catch (error) {
    if (!isErrno(error, ENOENT, EINVAL)) throw error;
  }
}

/** Runs `action` in another network namespace. Preconditions: CAP_SYS_ADMIN over both. */
export function within<T>(namespace: Fd, action: () => T): T {
  using own = open("/proc/thread-self/ns/net", fcntl.O_RDONLY);
  setNamespace(namespace, CLONE_NEW.net, "the container's");
  try {
    return action();
  } finally {
    setNamespace(own, CLONE_NEW.net, "our own");
  }
}
