/** Sandboxes for guests that mean harm, and what of the host must be as it was afterwards. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { Container, type ContainerOptions } from "../support/container.ts";
import { ignoreGone, isAlive, statusField, systemMounts } from "../support/host.ts";
import { projectRoot } from "../support/paths.ts";
import type { Spec } from "../support/spec.ts";

process.env["TSSANDBOX_MODE"] = "sentry";
/** From this checkout, or from where TSSANDBOX_TEST_RUNTIMES has it. */
const runtimePath = process.env["TSSANDBOX_TEST_RUNTIMES"] ?? join(projectRoot, "bin/tssandbox");

/** A program of test/guest, static, with threads; compiled once per version of its source. */
/** Whether the sandboxes have the policy strict. */
export const IS_STRICT = process.env["TSSANDBOX_POLICY"] === "strict";
/** On platform ptrace and under strict nobody in a sandbox may trace: the filter says so before the kernel looks whom. */
export const TRACING_IS_REFUSED = IS_STRICT || process.env["TSSANDBOX_PLATFORM"] === "ptrace";

export function hostileProgram(name: string): string {
  const source = join(projectRoot, "test/guest", `hostile-${name}.c`);
  const hash = createHash("sha256").update(readFileSync(source)).update(readFileSync(join(projectRoot, "test/guest/hostile-guard.h"))).digest("hex").slice(0, 16);
  const target = join(projectRoot, ".cache/guest", `hostile-${name}-${hash}`);
  if (existsSync(target)) return target;
  mkdirSync(join(target, ".."), { recursive: true });
  const fresh = `${target}.${process.pid}`;
  execFileSync("gcc", ["-static", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror", "-o", fresh, source], { stdio: ["ignore", "inherit", "inherit"] });
  renameSync(fresh, target);
  return target;
}

/** As numbered in uapi/linux/capability.h; a guest gets all that a configuration can give. */
const ALL_CAPABILITIES =
  `CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK
  IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
  AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`.split(/\s+/).map((name) => `CAP_${name}`);

/** The strongest guest that a configuration can make: root, every capability, new privileges, no profile beside the sandbox's own. */
export function strongest(spec: Spec): void {
  const process = spec.process!;
  process.noNewPrivileges = false;
  process.capabilities = { bounding: ALL_CAPABILITIES, effective: ALL_CAPABILITIES, permitted: ALL_CAPABILITIES, inheritable: ALL_CAPABILITIES, ambient: ALL_CAPABILITIES };
}

export interface HostileOptions extends ContainerOptions {
  /** hostile-NAME.c, which become /NAME. */
  readonly programs?: readonly string[];
}

/** A container whose programs include /try; unless `args` says otherwise it sleeps, for attempts by exec. */
export function hostile(options: HostileOptions = {}): Container {
  const c = new Container({ path: runtimePath, version: "tssandbox" }, {
    args: ["sleep", "1000"],
    ...options,
    edit: (spec, bundle) => {
      strongest(spec);
      for (const name of ["try", ...(options.programs ?? [])]) {
        const target = join(bundle.rootfs, name);
        copyFileSync(hostileProgram(name), target);
        chmodSync(target, 0o755);
      }
      options.edit?.(spec, bundle);
    },
  });
  return c;
}

/** Makes the attempts (test/guest/hostile-try.c), one after the other, by one exec. @returns what came of each. */
export async function attempt(c: Container, attempts: readonly string[]): Promise<Record<string, string>> {
  const process = { args: ["/try", "-"], capabilities: c.spec.process!.capabilities!, noNewPrivileges: false };
  const output = await c.mustExec([], { input: `${attempts.join("\n")}\n`, process });
  return Object.fromEntries(output.split("\n").slice(0, -1).map((line) => line.split("\t") as [string, string]));
}

/** A bind mount, which goes through the gofer. */
export const volume = (source: string, destination: string, ...options: string[]) => ({ destination, source, type: "bind", options: ["bind", ...options] });

/** Of sandbox.json. */
export interface SandboxRecord {
  readonly sentry: { readonly pid: number };
  /** The first serves the root file system. */
  readonly gofers: readonly { readonly pid: number; readonly serves: readonly string[] }[];
  readonly ids: { readonly guest: readonly { readonly hostID: number; readonly size: number }[]; readonly sentry: number };
}

export function sandboxOf(c: Container): SandboxRecord {
  return JSON.parse(readFileSync(join(c.stateRoot, c.id, "sandbox.json"), "utf8")) as SandboxRecord;
}

/** Processes on the host with one of the sandbox's ids. */
export function processesWithIds({ ids }: SandboxRecord): number[] {
  const isOurs = (uid: number) => uid === ids.sentry || ids.guest.some(({ hostID, size }) => uid >= hostID && uid < hostID + size);
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => isOurs(Number(statusField(pid, "Uid")?.split("\t")[0] ?? -1)));
}

const SYSCTLS = ["kernel/core_pattern", "kernel/hostname", "kernel/modprobe", "kernel/sysrq", "kernel/randomize_va_space", "vm/overcommit_memory"];

/** What no guest may change: the host's mounts and sysctls. */
export function hostState(): Record<string, unknown> {
  const sysctls = SYSCTLS.map((name) => [name, ignoreGone(() => readFileSync(`/proc/sys/${name}`, "utf8"))]);
  return { mounts: systemMounts(), sysctls: Object.fromEntries(sysctls) };
}

/** The sandbox goes on as it was: a program runs, and sentry and gofers are the same. */
export async function expectAnswers(c: Container, { sentry, gofers }: SandboxRecord): Promise<void> {
  const output = await c.mustExec(["sh", "-c", "uname -s && echo answers"]);
  const ended = [sentry, ...gofers].filter(({ pid }) => !isAlive(pid));
  expect({ output, ended }).toEqual({ output: "Linux\nanswers\n", ended: [] });
}

/** Deletes by force; nothing is left, no process with an id of the sandbox's either. @param told what delete says on standard error. */
export async function expectGoneAfterDelete(c: Container, told = /^$/): Promise<void> {
  const record = sandboxOf(c);
  const { code, stdout, stderr } = await c.delete("--force");
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "", stderr: expect.stringMatching(told) as string });
  await c.expectNothingLeft();
  expect(processesWithIds(record)).toEqual([]);
}
