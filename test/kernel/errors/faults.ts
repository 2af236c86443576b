/** Breaking the runtime at a step of its own: docs/decisions/0005, linux/fault.ts. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { ignoreGone, isAlive, statusField } from "../../support/host.ts";
import { until } from "../../support/until.ts";

/** The record of one process tree's steps, and what is to happen at one of them. */
export class Fault {
  readonly file: string;
  readonly env: { readonly TSSANDBOX_FAULT: string };

  constructor(file: string, action?: "fail" | "hold", point?: string) {
    this.file = file;
    this.env = { TSSANDBOX_FAULT: action === undefined ? file : `${file}:${action}:${point}` };
  }

  /** `STEP:N`, in the order in which they were come to. */
  get points(): string[] {
    return existsSync(this.file) ? readFileSync(this.file, "utf8").split("\n").filter(Boolean) : [];
  }

  async reached(point: string): Promise<void> {
    await until(`step ${point}`, () => this.points.includes(point));
  }

  /** Lets the process that holds go on. */
  release(): void {
    rmSync(this.file);
  }
}

export const stepOf = (point: string): string => point.slice(0, point.lastIndexOf(":"));

export type Role = "runtime" | "stage" | "init";

/** The processes of a call by role: what it has forked into a pid namespace is init, what else it has forked the stage. */
export function rolesBelow(pid: number): Map<Role, number> {
  const roles = new Map<Role, number>([["runtime", pid]]);
  const walk = (parent: number): void => {
    for (const child of childrenOf(parent)) {
      const namespaced = (statusField(child, "NSpid") ?? "").split("\t").length > 1;
      if (isAlive(child)) roles.set(namespaced ? "init" : "stage", child);
      walk(child);
    }
  };
  walk(pid);
  return roles;
}

const childrenOf = (pid: number): number[] => (ignoreGone(() => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")) ?? "").split(" ").filter(Boolean).map(Number);
