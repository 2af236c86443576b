/** The containers that have joined a sandbox, when its first one is deleted. */
import { dirname } from "node:path";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { waitUntil } from "../../linux/sleep.ts";
import { killContainer } from "../container/kill.ts";
import { isAlive } from "../container/process-info.ts";
import { statusOf } from "../container/status.ts";
import { type Container } from "../container/store.ts";
import { hasFurther } from "./calls.ts";
import { membersOf } from "./group.ts";

/** Those that live, or are being created. @param first any container. */
export function livingMembers(first: Container): Container[] {
  const { mode, sandbox } = first.record;
  if (mode !== "sentry" || sandbox !== undefined || !hasFurther(first.directory)) return [];
  return membersOf(dirname(first.directory), first).filter((member) => statusOf(member) !== "stopped");
}

const END_MS = 10_000;

/** Kills them, so that what they have mapped of files is written before the sentry ends. Their state is left to whoever deletes them. */
export function endMembers(first: Container): void {
  const members = livingMembers(first);
  for (const member of members) killContainer(member, SIGNALS.SIGKILL, true);
  waitUntil(END_MS, () => members.every(({ record: { pid, startTime } }) => !isAlive(pid, startTime)));
}
