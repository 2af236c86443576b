/**
 * `start`: prints the address of the container's shim, which is this process from then on, unless the container's pod has one already. Only one
 * Node is started for a pod: the launcher, bin/containerd-shim-tssandbox-v1, is what containerd waits for, and it waits for the address.
 */
import { closeSync, constants, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { createServer } from "node:net";
import process from "node:process";
import { messageOf } from "../linux/errors.ts";
import { duplicateOnto } from "../linux/file.ts";
import type { Fd } from "../linux/fd.ts";
import { createCoreCookie, setChildSubreaper } from "../linux/prctl.ts";
import { exitNow, newSession } from "../linux/process.ts";
import { logLine } from "../runtime/log.ts";
import { VERSION } from "../runtime/version.ts";
import type { Any } from "@bufbuild/protobuf/wkt";
import { addressOf, claimSocket, groupOf, isSandboxBundle, socketPath, writeAddress, writePid } from "./address.ts";
import type { ShimArguments } from "./arguments.ts";
import { sandboxAnswer, sandboxOptions } from "./bootstrap.ts";
import { Publisher } from "./events.ts";
import { prepareOperations } from "./operation.ts";
import { Reaper } from "./reaper.ts";
import { sandboxService } from "./sandbox/service.ts";
import { taskService } from "./service.ts";
import { Tracing } from "../runtime/tracing/tracing.ts";
import { serve } from "./ttrpc/server.ts";

/** Preconditions: the working directory is the bundle. */
export function start(args: ShimArguments): void {
  prepareOperations();
  const bundle = process.cwd();
  const path = socketPath(args, groupOf(bundle, args.id));
  const ofSandbox = isSandboxBundle(bundle);
  const options = ofSandbox ? sandboxOptions(readFileSync(0), args.id, args.handler) : undefined;
  if (process.env["SCHED_CORE"]) isolateCores();
  const listener = claimSocket(path);
  writeAddress(bundle, path);
  if (listener !== undefined) writePid(bundle, process.pid);
  if (listener !== undefined) beShim(args, options, listener, path);
  writeSync(1, ofSandbox ? sandboxAnswer(addressOf(path)) : addressOf(path));
  if (listener !== undefined) leaveCaller();
}

/** @param options of a sandbox's handler. */
function beShim({ namespace, debug }: ShimArguments, options: Any | undefined, listener: Fd, path: string): void {
  const log = openLog(debug);
  process.on("uncaughtException", (error) => log("error", `internal error: ${error.stack ?? messageOf(error)}`));
  newSession();
  raiseOomScore();
  setChildSubreaper(true);
  const reaper = new Reaper();
  reaper.start();
  const publisher = new Publisher(process.env["TTRPC_ADDRESS"] ?? "", namespace, (message) => log("warning", message));
  const shutDown = () => void end(publisher, tracing, path);
  const warn = (message: string) => log("warning", message);
  const tracing = new Tracing(warn);
  const around = { namespace, reaper, publisher, log: warn, tracing };
  const shutDownIdle = () => sandbox.isIdle() && shutDown();
  const sandbox = sandboxService(around, options, shutDown);
  const { tasks, services, isIdle } = taskService(around, VERSION, shutDownIdle, sandbox);
  setInterval(() => tasks.forEach((task) => task.takeOom()), OOM_LOOK_MS);
  endWithoutTasks(() => isIdle() && sandbox.isIdle(), shutDown);
  const server = createServer();
  serve(server, { ...services, ...sandbox.services });
  server.listen({ fd: listener.release() });
  process.chdir("/");
}

/** Of a kill that does not end a process that we wait for, nobody tells us but the cgroup. */
const OOM_LOOK_MS = 1000;

/**
 * containerd asks for a task at once, and for the shim's end after its last. If it dies in between, a later containerd before 1.7 takes such a shim for
 * one that is in use, and nobody ends it.
 */
const IDLE_MS = 30_000;
const IDLE_LOOK_MS = 1000;

function endWithoutTasks(isIdle: () => boolean, shutDown: () => void): void {
  let left = IDLE_MS;
  const timer = setInterval(() => {
    left = isIdle() ? left - IDLE_LOOK_MS : IDLE_MS;
    if (left > 0) return;
    clearInterval(timer);
    shutDown();
  }, IDLE_LOOK_MS);
}

const FLUSH_MS = 3000;

async function end(publisher: Publisher, tracing: Tracing, path: string): Promise<void> {
  rmSync(path, { force: true });
  await Promise.all([publisher.drained(FLUSH_MS), tracing.drained(FLUSH_MS)]);
  // The answer to Shutdown is on its way.
  setTimeout(() => exitNow(0), 20);
}

type Log = (level: "warning" | "error", message: string) => void;

/** containerd reads a FIFO in the bundle. Open for reading as well: it may be away. What does not fit is lost. */
function openLog(debug: boolean): Log {
  let fifo: number;
  try {
    fifo = openSync("log", constants.O_RDWR | constants.O_NONBLOCK);
  } catch {
    return () => {};
  }
  const write = (level: Parameters<typeof logLine>[1], message: string) => {
    try {
      writeSync(fifo, `${logLine("text", level, message)}\n`);
    } catch {
      // Full.
    }
  };
  if (debug) write("debug", `shim ${VERSION} of pid ${process.pid}`);
  return write;
}

/** A little more likely to be killed than containerd, as whose child we have begun. Source: containerd, runtime/v2/shim, AdjustOOMScore. */
function raiseOomScore(): void {
  const file = "/proc/self/oom_score_adj";
  writeFileSync(file, String(Math.min(1000, Number(readFileSync(file, "utf8")) + 1)));
}

/** containerd's `sched_core`: whoever has asked for it runs nothing without. Source: containerd, core/runtime/v2, pkg/schedcore. */
function isolateCores(): void {
  try {
    createCoreCookie();
  } catch (error) {
    throw new Error(`SCHED_CORE: ${messageOf(error)}: this machine has no core scheduling; unset sched_core in containerd's configuration`, { cause: error });
  }
}

/** containerd waits for the end of what its child has written. */
function leaveCaller(): void {
  const none = openSync("/dev/null", "r+");
  for (const number of [0, 1, 2]) duplicateOnto(none, number);
  closeSync(none);
}
