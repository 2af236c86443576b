import { safeParse, type GenericSchema, type InferOutput } from "valibot";

import { checkLinux } from "./check-linux.ts";
import { checkMounts } from "./check-mounts.ts";
import { checkNamespaces } from "./check-namespaces.ts";
import { checkProcess } from "./check-process.ts";
import { checkResources } from "./check-resources.ts";
import { checkSeccomp } from "./check-seccomp.ts";
import { LinuxResourcesSchema, type LinuxResources } from "./config-resources.ts";
import { ProcessSchema, SpecSchema, type Process, type Spec } from "./config.ts";
import { parseJson } from "./json.ts";
import { HOOK_NAMES } from "./names.ts";
import { type CheckOptions, member, Report } from "./report.ts";
import { refuseIssue } from "./schema-error.ts";
import { warnOfUnknownProperties } from "./unknown-properties.ts";

// From text to a configuration that can be acted on: JSON, schema, then the rules that need more than one field. Pure: what
// only the kernel or the file system can answer (is that path a namespace, is AppArmor on) is left to whoever acts.

/** A checked document, and what is wrong with it but not fatal: one line each, for the log. */
export interface Checked<T> {
  readonly value: T;
  readonly warnings: readonly string[];
}

/**
 * Reads config.json. What the value differs in from the text: unknown properties, properties that are null and unknown
 * capabilities are gone; relative mount destinations are absolute; `process.user` and `ioPriority.priority` have their defaults.
 *
 * @throws {ConfigError} for the first problem found
 */
export function parseConfig(text: string, options: CheckOptions = {}): Checked<Spec> {
  const report = new Report("config.json", options);
  const spec = read(SpecSchema, text, report);
  checkSpec(spec, report);
  return { value: spec, warnings: report.warnings };
}

/**
 * Reads the file of `exec --process`.
 *
 * @throws {ConfigError} for the first problem found
 */
export function parseProcess(text: string, options: CheckOptions = {}): Checked<Process> {
  const report = new Report("process.json", options);
  const process = read(ProcessSchema, text, report);
  checkProcess(process, "", report);
  return { value: process, warnings: report.warnings };
}

/**
 * The same rules for a process that has been put together from a command line.
 *
 * @throws {ConfigError} for the first problem found
 */
export function checkedProcess(process: Process): Checked<Process> {
  const report = new Report("exec", {});
  checkProcess(process, "", report);
  return { value: process, warnings: report.warnings };
}

/**
 * Reads the file of `update --resources`.
 *
 * @throws {ConfigError} for the first problem found
 */
export function parseResources(text: string, options: CheckOptions = {}): Checked<LinuxResources> {
  const report = new Report("resources.json", options);
  const resources = read(LinuxResourcesSchema, text, report);
  checkResources(resources, "", report);
  return { value: resources, warnings: report.warnings };
}

function read<S extends GenericSchema>(schema: S, text: string, report: Report): InferOutput<S> {
  const json = parseJson(text, report);
  warnOfUnknownProperties(schema, json, report);
  const result = safeParse(schema, json, { abortEarly: true });
  return result.success ? result.output : refuseIssue(result.issues[0], report);
}

function checkSpec(spec: Spec, report: Report): void {
  ociVersion(spec, report);
  otherPlatforms(spec, report);
  root(spec, report);
  if (spec.process !== undefined) checkProcess(spec.process, "process", report);
  checkNamespaces(spec, report);
  checkMounts(spec, report);
  hooks(spec, report);
  annotations(spec, report);
  if (spec.linux === undefined) return;
  checkLinux(spec.linux, report);
  if (spec.linux.resources !== undefined) checkResources(spec.linux.resources, "linux.resources", report);
  if (spec.linux.seccomp !== undefined) checkSeccomp(spec.linux.seccomp, report);
}

/** "compatible with all runtimes that support any 1.1 or later release [...] but not compatible with a runtime that supports 1.0". */
function ociVersion({ ociVersion: version }: Spec, report: Report): void {
  const semver = /^(\d+)\.(\d+)\.\d+(?:[-+][0-9A-Za-z.+-]+)?$/.exec(version);
  if (semver === null) report.refuse("ociVersion", `must be a version like 1.0.2, is ${JSON.stringify(version)}`);
  if (semver[1] !== "1" || Number(semver[2]) > 3) report.refuse("ociVersion", `${version} is not supported, 1.0 to 1.3 are`);
}

function otherPlatforms(spec: Spec, report: Report): void {
  for (const platform of ["solaris", "windows", "vm", "zos", "freebsd"] as const) {
    if (spec[platform] !== undefined) report.warn(platform, "is for another platform, ignored");
  }
}

/** "On all other platforms, this field is REQUIRED." */
function root({ root: rootfs }: Spec, report: Report): void {
  if (rootfs === undefined) report.refuse("root", "is required");
  if (rootfs.path === "") report.refuse("root.path", "must not be empty");
}

/** config.md#posix-platform-hooks: "path [...] This specification extends the IEEE standard in that path MUST be absolute"; "timeout MUST be greater than zero". */
function hooks({ hooks: lists }: Spec, report: Report): void {
  for (const name of HOOK_NAMES) {
    lists?.[name]?.forEach(({ path, timeout }, index) => {
      const at = member(`hooks.${name}`, index);
      if (!path.startsWith("/")) report.refuse(member(at, "path"), `must be an absolute path, is ${JSON.stringify(path)}`);
      if (timeout !== undefined && timeout <= 0) report.refuse(member(at, "timeout"), `must be at least 1 (s), is ${timeout}`);
    });
  }
}

/** config.md#annotations: "Keys MUST NOT be an empty string." */
function annotations(spec: Spec, report: Report): void {
  if (spec.annotations !== undefined && Object.hasOwn(spec.annotations, "")) report.refuse("annotations", "has an empty key");
}
