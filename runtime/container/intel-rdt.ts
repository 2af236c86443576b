/**
 * Cache and memory bandwidth of a container (Intel RDT, AMD QoS, Arm MPAM): groups in the resctrl file system.
 * Sources: runtime-spec 1.3 config-linux.md#intelrdt; Linux Documentation/filesystems/resctrl.rst.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { EEXIST, ENOENT } from "../../linux/abi/errno.ts";
import { inStep, isErrno, SysError } from "../../linux/errors.ts";
import type { LinuxIntelRdt } from "../spec/config.ts";

/** Which groups a container is in. Plain JSON: it goes into the record before anything is made. */
export interface RdtPlan {
  /** Mount point of the resctrl file system. */
  readonly root: string;
  /** Directory of the control group. */
  readonly group: string;
  /** Whether the group is the container's alone, and is removed with it. */
  readonly own: boolean;
  /** Directory of the container's monitoring group. */
  readonly monitor?: string | undefined;
}

/** The mount point of the first resctrl file system in the text of /proc/self/mountinfo. Source: proc_pid_mountinfo(5). */
export function findResctrl(mountinfo: string): string | undefined {
  const line = mountinfo.split("\n").find((entry) => entry.split(" - ")[1]?.startsWith("resctrl "));
  return line?.split(" ")[4]?.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/**
 * Decides on the groups, and changes nothing.
 * @param mounted the resctrl mount point, if not the one that the host says it has.
 * @throws Error where there is none, where `closID` should be there and is not, or is there with other values.
 */
export function planRdt(config: LinuxIntelRdt | undefined, id: string, mounted?: string): RdtPlan | undefined {
  if (config === undefined) return undefined;
  const root = mounted ?? findResctrl(readFileSync("/proc/self/mountinfo", "utf8"));
  if (root === undefined) throw new Error("linux.intelRdt: this host has no resctrl file system mounted");
  const { closID = "" } = config;
  const group = closID === "/" ? root : `${root}/${closID || id}`;
  const there = existsSync(group);
  if (closID !== "") checkClass(config, root, group, there);
  return { root, group, own: closID === "" && !there, ...(config.enableMonitoring === true ? { monitor: `${group}/mon_groups/${id}` } : {}) };
}

/** "If closID is set, and none of [the schemata] are set, runtime MUST check if [...] directory closID is present"; else they "MUST compare". */
function checkClass(config: LinuxIntelRdt, root: string, group: string, there: boolean): void {
  const { closID, l3CacheSchema = "", memBwSchema = "" } = config;
  if (!there && schemataOf(config).length === 0) throw new Error(`linux.intelRdt.closID: there is no group ${JSON.stringify(closID)} in ${root}, and no schemata are given to make one`);
  if (!there) return;
  const actual = inStep("resctrl", () => readFileSync(`${group}/schemata`, "utf8"));
  const granularity = bandwidthGranularity(root);
  for (const [field, wanted] of Object.entries({ l3CacheSchema, memBwSchema })) {
    if (!schemaHolds(wanted, actual, granularity)) throw new Error(`linux.intelRdt.${field}: group ${JSON.stringify(closID)} exists with other values than ${JSON.stringify(wanted)}`);
  }
}

/** In percent; 1 where the host does not tell. */
function bandwidthGranularity(root: string): number {
  const path = `${root}/info/MB/bandwidth_gran`;
  return existsSync(path) ? Number(readFileSync(path, "utf8")) || 1 : 1;
}

/**
 * Whether every value of the line `wanted` is what the file `schemata` shows. Cache masks are hexadecimal and may differ in leading zeros;
 * a bandwidth is shown as the kernel has rounded it up.
 */
export function schemaHolds(wanted: string, schemata: string, granularity: number): boolean {
  const shown = new Map(schemata.split("\n").map(parseSchema).map(({ resource, values }) => [resource, values]));
  const { resource, values } = parseSchema(wanted);
  const bandwidth = resource === "MB";
  const number = (text = "") => Number.parseInt(text, bandwidth ? 10 : 16);
  const same = (value: number, actual: number) => actual === value || (bandwidth && actual === Math.ceil(value / granularity) * granularity);
  return [...values].every(([domain, value]) => same(number(value), number(shown.get(resource)?.get(domain))));
}

/** `L3:0=7f0;1=1f`. */
function parseSchema(line: string): { resource: string; values: ReadonlyMap<number, string> } {
  const [resource = "", rest = ""] = line.split(":");
  const pairs = rest.split(";").map((pair) => pair.split("=")).filter((pair) => pair.length === 2);
  return { resource: resource.trim(), values: new Map(pairs.map(([domain = "", value = ""]) => [Number(domain), value.trim()])) };
}

/** The lines to write: "l3CacheSchema first and memBwSchema last", and `schemata` after both. */
export function schemataOf({ l3CacheSchema = "", memBwSchema = "", schemata = [] }: LinuxIntelRdt): string[] {
  return [l3CacheSchema, memBwSchema, ...schemata].filter((line) => line !== "");
}

/** Makes what is missing of the groups, sets the schemata, puts `tasks` in. @throws SysError */
export function enterRdt(plan: RdtPlan, config: LinuxIntelRdt, tasks: readonly number[]): void {
  makeGroup(plan, plan.group);
  setSchemata(plan, schemataOf(config));
  if (plan.monitor !== undefined) makeGroup(plan, plan.monitor);
  joinRdt(plan, tasks);
}

export function setSchemata(plan: RdtPlan, lines: readonly string[]): void {
  if (lines.length > 0) attempt(plan, "write", `${plan.group}/schemata`, () => write(`${plan.group}/schemata`, `${lines.join("\n")}\n`));
}

/** @param tasks thread ids: a task takes its group to the ones that it makes from then on, and to no other. */
export function joinRdt({ monitor, ...plan }: RdtPlan, tasks: readonly number[]): void {
  for (const group of monitor === undefined ? [plan.group] : [plan.group, monitor]) {
    for (const task of tasks) attempt(plan, "write", `${group}/tasks`, () => write(`${group}/tasks`, String(task)));
  }
}

/** Removes what is the container's alone. Its tasks, if there still are any, fall back to the groups above. What is gone already is fine. */
export function removeRdt({ group, own, monitor }: RdtPlan): void {
  for (const path of [monitor, own ? group : undefined]) if (path !== undefined) removeGroup(path);
}

function removeGroup(path: string): void {
  try {
    inStep("resctrl", () => rmdirSync(path));
  } catch (error) {
    if (!isErrno(error, ENOENT)) throw error;
  }
}

function makeGroup(plan: RdtPlan, path: string): void {
  attempt(plan, "mkdir", path, () => {
    try {
      if (path !== plan.root) mkdirSync(path, 0o755);
    } catch (error) {
      if (!isErrno(error, EEXIST)) throw error;
    }
  });
}

/** Without O_CREAT: a missing file must be ENOENT. */
function write(path: string, text: string): void {
  writeFileSync(path, text, { flag: "r+" });
}

/** The file system answers EINVAL to much, and tells the reason in a file of its own. */
function attempt({ root }: Pick<RdtPlan, "root">, syscall: string, path: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    if (typeof errno !== "number") throw error;
    throw new SysError({ step: "resctrl", syscall, path, errno: -errno, hint: lastStatus(root) });
  }
}

function lastStatus(root: string): string | undefined {
  try {
    return readFileSync(`${root}/info/last_cmd_status`, "utf8").trim();
  } catch {
    return undefined;
  }
}
