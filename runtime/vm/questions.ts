/** What the agent answers about a container, in JSON. */
import { readFileSync } from "node:fs";
import { assertNever } from "../../linux/errors.ts";
import { statsJson } from "../cgroups/stats.ts";
import { killContainer } from "../container/kill.ts";
import { membersOf } from "../container/members.ts";
import { cgroupOf } from "../container/status.ts";
import type { Container } from "../container/store.ts";
import type { Logger } from "../log.ts";
import { parseResources } from "../spec/validate.ts";
import type { ProcessLine } from "./ask.ts";
import type { Question } from "./protocol.ts";

/** What fits into an answer. */
const MAX_PROCESSES = 400;
const MAX_COMMAND = 200;

/** @throws CgroupError, SysError, ConfigError */
export function answerQuestion(container: Container, question: Exclude<Question, { do: "watch-oom" }>, log: Logger): string {
  const cgroup = cgroupOf(container);
  switch (question.do) {
    case "freeze":
      cgroup.freeze();
      return "null";
    case "thaw":
      cgroup.thaw();
      return "null";
    case "kill-all":
      killContainer(container, question.signal, true);
      return "null";
    case "processes": return JSON.stringify(membersOf(container).slice(0, MAX_PROCESSES).flatMap(processLine));
    case "stats": return statsJson(cgroup.stats());
    case "update":
      cgroup.update(log.warned(parseResources(JSON.stringify(question.resources))));
      return "null";
    default: return assertNever(question);
  }
}

/** Source: proc_pid_status(5), proc_pid_cmdline(5). @returns nothing for one that has ended meanwhile. */
function processLine(pid: number): ProcessLine[] {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
    const name = /^Name:\s+(.*)$/m.exec(status)?.[1] ?? "";
    const command = readFileSync(`/proc/${pid}/cmdline`, "latin1").replace(/\0+$/, "").replaceAll("\0", " ");
    return [{ pid, parent: field("PPid"), uid: field("Uid"), command: (command === "" ? `[${name}]` : command).slice(0, MAX_COMMAND) }];
  } catch {
    return [];
  }
}
