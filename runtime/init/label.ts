/**
 * The label of a security module that the program runs under. Every write goes to the host's procfs, whatever the container has mounted there
 * (CVE-2025-52881). Sources: Linux security/apparmor/lsm.c apparmor_setprocattr, security/selinux/hooks.c selinux_setprocattr.
 */
import { EINVAL, ENOENT } from "../../linux/abi/errno.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { isErrno, SysError } from "../../linux/errors.ts";
import { LABEL_CALLS, type ExecLabels } from "../../linux/exec.unsafe.ts";
import type { Fd } from "../../linux/fd.ts";
import { openAt, writeAll } from "../../linux/file.ts";
import type { Process } from "../spec/config.ts";
import type { ProcessLaunch } from "./launch.ts";
import { rendezvous } from "./protocol.ts";

/** How one module is told: the label of the next execve(2), and whether that label could be taken. */
interface Label {
  readonly field: string;
  /** Below /proc/PID/attr, like the names in `test`. */
  readonly name: string;
  readonly text: string;
  readonly test: readonly { readonly name: string; readonly text: string }[];
}

function labelsOf({ apparmorProfile, selinuxLabel }: Process): Label[] {
  const labels: Label[] = [];
  if (apparmorProfile) {
    const field = `process.apparmorProfile: ${JSON.stringify(apparmorProfile)}`;
    labels.push({ field, name: "apparmor/exec", text: `exec ${apparmorProfile}`, test: [{ name: "apparmor/current", text: `permprofile ${apparmorProfile}` }] });
  }
  if (selinuxLabel) {
    // SELinux has no test without effect: a line without a label takes it back.
    const test = [{ name: "exec", text: selinuxLabel }, { name: "exec", text: "\n" }];
    labels.push({ field: `process.selinuxLabel: ${JSON.stringify(selinuxLabel)}`, name: "exec", text: selinuxLabel, test });
  }
  return labels;
}

/**
 * Sees to the label of the program; call while the runtime is still to be heard of.
 * @returns what the stub is to write, so that the label is the program's and not the stub's. Undefined where there is nothing to write, or where it
 * has been written already: without the privilege to give the stub its directory, or under a filter that would not let it write, the label is
 * the stub's, and must allow executing the program.
 * @throws Error naming the field where the label is not to be had.
 */
export function prepareLabels(launch: ProcessLaunch): ExecLabels | undefined {
  const labels = labelsOf(launch.process);
  if (labels.length === 0) return undefined;
  const [directory] = mayWrite(launch) ? rendezvous(launch.channel, { kind: "attributes" }) : [];
  if (directory === undefined) {
    for (const label of labels) write(launch.hostProc, label, label);
    return undefined;
  }
  for (const label of labels) for (const part of label.test) write(launch.hostProc, label, part);
  return { directory: directory.number, writes: labels };
}

/** The filters are in force by the time the stub runs. */
function mayWrite({ filters }: ProcessLaunch): boolean {
  return LABEL_CALLS.every(({ nr, args }) => filters.every((filter) => filter.allows(nr, args)));
}

/** The errno alone would speak of a missing file, which engines take for a missing program. */
function write(hostProc: Fd, { field }: Label, { name, text }: { name: string; text: string }): void {
  using file = openAt(hostProc, `self/attr/${name}`, fcntl.O_WRONLY);
  try {
    writeAll(file, text);
  } catch (error) {
    if (isErrno(error, ENOENT, EINVAL)) throw new Error(`${field} is not loaded on this host`, { cause: error });
    throw error instanceof SysError ? new SysError({ ...error.fields, hint: field }) : error;
  }
}
