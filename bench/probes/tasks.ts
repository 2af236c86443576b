/** The host's tasks behind a container, and what their seccomp filters, as they are at this moment, let through. */
import { readFileSync } from "node:fs";
import { SysError } from "../../linux/errors.ts";
import { seccompFilters } from "../../linux/ptrace.ts";
import type { ActionName } from "seccomp-bpf-ts";
import { Stack } from "./reach.ts";

/** A process that has filters. */
export interface FilteredTask {
  readonly pid: number;
  /** The name that the process goes by, for a reader. */
  readonly name: string;
  readonly filters: Stack;
}

/**
 * Where guest code runs on the host.
 *
 * `direct`: a host task is the guest's program, and its calls are the host kernel's, behind its filters.
 * `stub`: no host task is the guest's program; guest code runs in tasks of the runtime's whose filters hand (nearly) every call to the runtime.
 * `elsewhere`: no host task runs guest code in a way that is seen here: a virtual machine.
 * `unreadable`: there are tasks, but their filters cannot be read.
 */
export type GuestCode =
  | { readonly kind: "direct"; readonly filters: Stack; readonly answers: readonly ActionName[] }
  | { readonly kind: "stub"; readonly filters: Stack; readonly answers: readonly ActionName[] }
  | { readonly kind: "elsewhere" }
  | { readonly kind: "unreadable"; readonly why: string };

export interface Behind {
  readonly guest: GuestCode;
  /** The runtime's own processes that serve the guest, behind filters of their own: a user-space kernel, a file proxy. */
  readonly servants: readonly FilteredTask[];
}

/** The guest's own handler gets the signal of a trap: for the host's kernel that is a refusal. */
const ANSWERS_OF_DIRECT: readonly ActionName[] = ["notify", "trace"];
const ANSWERS_OF_STUB: readonly ActionName[] = ["notify", "trace", "trap"];

/** @param pids processes of the container and of its runtime's. @param program argv[0] of the guest's first process. */
export function behind(pids: readonly number[], program: string): Behind {
  const found = pids.filter(exists).map((pid) => ({ pid, argv: argvOf(pid) }));
  const guests = found.filter(({ argv }) => argv[0] === program);
  try {
    const filtered = found.filter((task) => !guests.includes(task) && isFiltered(task.pid)).map(({ pid, argv }) => ({ pid, name: nameOf(pid, argv), filters: new Stack(seccompFilters(pid)) }));
    const [guest] = guests;
    if (guest !== undefined) return { guest: { kind: "direct", filters: new Stack(seccompFilters(guest.pid)), answers: ANSWERS_OF_DIRECT }, servants: filtered };
    const stub = filtered.find(({ filters }) => trapsMost(filters));
    const servants = filtered.filter(({ filters }) => !trapsMost(filters));
    return { guest: stub === undefined ? { kind: "elsewhere" } : { kind: "stub", filters: stub.filters, answers: ANSWERS_OF_STUB }, servants };
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return { guest: { kind: "unreadable", why: error.message }, servants: [] };
  }
}

/** read(2), openat(2), uname(2): a program of the runtime's own has to make them, a stub has not. */
const PROGRAMS_NEED = [0, 257, 63];
const trapsMost = (filters: Stack) => PROGRAMS_NEED.every((nr) => ["trap", "trace", "notify"].includes(filters.decide({ arch: "x86_64", nr }).action));

const status = (pid: number) => readFileSync(`/proc/${pid}/status`, "utf8");
const isFiltered = (pid: number) => /^Seccomp:\s*2$/m.test(status(pid));

function exists(pid: number): boolean {
  try {
    return !/^State:\s*Z/m.test(status(pid));
  } catch {
    return false;
  }
}

function argvOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  } catch {
    return [];
  }
}

const nameOf = (pid: number, argv: readonly string[]) => argv[0]?.split("/").at(-1)?.split(" ")[0] || (/^Name:\s*(.*)$/m.exec(status(pid))?.[1] ?? String(pid));
