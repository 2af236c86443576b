import { ENODEV, ENOENT } from "../../linux/abi/errno.ts";
import { O_RDONLY } from "../../linux/abi/fcntl.ts";
import { POLLIN, POLLPRI } from "../../linux/abi/poll.ts";
import { inStep, isErrno } from "../../linux/errors.ts";
import { createEventFd, takeEvents } from "../../linux/eventfd.ts";
import type { Fd } from "../../linux/fd.ts";
import { open, readAt } from "../../linux/file.ts";
import type { PollRequest } from "../../linux/poll.ts";
import { cgroupDir } from "./files.ts";

/** `gone`: the cgroup was removed, nothing will come any more. */
export type OomNews = "oom" | "none" | "gone";

/** Tells of OOM kills in a cgroup. Dispose of it when done. */
export interface OomSource extends Disposable {
  /** For `poll` of linux/poll.ts, beside other descriptors; level-triggered until `take`. */
  readonly request: PollRequest;
  /** What happened since the last time; never blocks. */
  take(): OomNews;
}

/** undefined where the container has no memory controller. @throws SysError */
export function oomSource(paths: Readonly<Record<string, string>>): OomSource | undefined {
  const { memory, "": unified } = paths;
  return inStep("cgroup memory", () => {
    if (memory !== undefined) return oomSourceV1(memory);
    return unified !== undefined && cgroupDir("memory", unified).has("memory.events") ? oomSourceV2(unified) : undefined;
  });
}

/** An eventfd, which the kernel also signals when the cgroup is removed. Source: memory.rst, "OOM Control". */
function oomSourceV1(path: string): OomSource {
  const dir = cgroupDir("memory", path);
  const event = createEventFd();
  using control = open(`${path}/memory.oom_control`, O_RDONLY);
  dir.write("cgroup.event_control", `${event.number} ${control.number}`);
  const take = (): OomNews => {
    if (takeEvents(event) === 0n) return "none";
    return dir.has("memory.oom_control") ? "oom" : "gone";
  };
  return { request: { fd: event, events: POLLIN }, take, [Symbol.dispose]: () => event.close() };
}

/** kernfs answers a poll with POLLPRI once the file has changed since it was read. Source: cgroup-v2.rst, memory.events. */
function oomSourceV2(path: string): OomSource {
  const file = open(`${path}/memory.events`, O_RDONLY);
  let seen = oomKills(file) ?? 0;
  const take = (): OomNews => {
    const now = oomKills(file);
    if (now === undefined) return "gone";
    const news = now > seen ? "oom" : "none";
    seen = now;
    return news;
  };
  return { request: { fd: file, events: POLLPRI }, take, [Symbol.dispose]: () => file.close() };
}

/** undefined once the cgroup is removed. */
function oomKills(file: Fd): number | undefined {
  try {
    const text = new TextDecoder().decode(readAt(file, 0, 4096));
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
  } catch (error) {
    if (isErrno(error, ENODEV, ENOENT)) return undefined;
    throw error;
  }
}
