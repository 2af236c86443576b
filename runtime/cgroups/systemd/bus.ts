import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { CgroupError } from "../files.ts";
import type { Property } from "./properties.ts";

/** A failed D-Bus call: `reply` is the bus's or busctl's own message. */
export class BusError extends Error {
  override readonly name = "BusError";
  readonly reply: string;

  constructor(what: string, reply: string) {
    super(`systemd: ${what}: ${reply}`);
    this.reply = reply;
  }
}

export type Bus = "system" | "user";

const service = "org.freedesktop.systemd1";
const managerPath = "/org/freedesktop/systemd1";
const manager = "org.freedesktop.systemd1.Manager";
const callTimeoutSeconds = 30;

/** Runs busctl, which comes with systemd. @returns its standard output. @throws BusError */
function busctl(bus: Bus, what: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync("busctl", [`--${bus}`, `--timeout=${callTimeoutSeconds}`, "--", ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  if (error !== undefined) throw new BusError(what, `busctl cannot be run (${error.message}): the systemd driver needs a host with systemd`);
  if (status !== 0) throw new BusError(what, stderr.trim().split("\n")[0] ?? `busctl ended with ${status}`);
  return stdout.trim();
}

function callManager(bus: Bus, method: string, ...args: readonly string[]): string {
  return busctl(bus, `${method} ${args[1] ?? ""}`, ["call", service, managerPath, manager, method, ...args]);
}

/** The string in a reply `s "text"`. */
const stringReply = (reply: string): string => JSON.parse(reply.replace(/^\S+ /, "")) as string;

const managerProperty = (bus: Bus, name: string): string => stringReply(busctl(bus, name, ["get-property", service, managerPath, manager, name]));

/** @throws CgroupError where systemd is not this host's init. Source: sd_booted(3). */
export function requireSystemd(): void {
  if (!existsSync("/run/systemd/system")) throw new CgroupError("--systemd-cgroup", "this host was not booted with systemd");
}

/** systemd's major version. */
export function systemdVersion(bus: Bus): number {
  const version = managerProperty(bus, "Version");
  const major = /\d+/.exec(version)?.[0];
  if (major === undefined) throw new CgroupError("--systemd-cgroup", `systemd has no readable version: ${version}`);
  return Number(major);
}

/** The cgroup below which a service manager has its units; `/` for the system's on most hosts. */
export const managerCgroup = (bus: Bus): string => managerProperty(bus, "ControlGroup");

const propertyWords = (properties: readonly Property[]): string[] => [String(properties.length), ...properties.flatMap(({ name, signature, words }) => [name, signature, ...words])];

/** Asks for a new unit; it is there once its job is done. */
export function startTransientUnit(bus: Bus, unit: string, properties: readonly Property[]): void {
  callManager(bus, "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "replace", ...propertyWords(properties), "0");
}

/**
 * Until the next boot, as the unit itself. systemd answers before it has written anything to the cgroup, but writes
 * before it takes another message: the second call makes sure that its values do not come after ours.
 * Source: manager_loop() in systemd's src/core/manager.c.
 */
export function setUnitProperties(bus: Bus, unit: string, properties: readonly Property[]): void {
  if (properties.length === 0) return;
  callManager(bus, "SetUnitProperties", "sba(sv)", unit, "true", ...propertyWords(properties));
  unitState(bus, unit);
}

export function attachProcess(bus: Bus, unit: string, pid: number): void {
  callManager(bus, "AttachProcessesToUnit", "ssau", unit, "/", "1", String(pid));
}

/** @returns false where there is no such unit. */
export const stopUnit = (bus: Bus, unit: string): boolean => unlessMissing(() => callManager(bus, "StopUnit", "ss", unit, "replace"));

/** Lets systemd forget a unit that failed. @returns false where there is no such unit. */
export const resetFailedUnit = (bus: Bus, unit: string): boolean => unlessMissing(() => callManager(bus, "ResetFailedUnit", "s", unit));

function unlessMissing(call: () => unknown): boolean {
  try {
    call();
    return true;
  } catch (error) {
    if (error instanceof BusError && /not loaded|not found|NoSuchUnit/i.test(error.reply)) return false;
    throw error;
  }
}

/** `active`, `inactive`, `failed`, ...; a unit that does not exist is `inactive`. Source: org.freedesktop.systemd1(5). */
export function unitState(bus: Bus, unit: string): string {
  return stringReply(busctl(bus, `ActiveState of ${unit}`, ["get-property", service, `${managerPath}/unit/${busLabel(unit)}`, "org.freedesktop.systemd1.Unit", "ActiveState"]));
}

/** Whether a call failed because a unit of this name exists. */
export const isUnitExists = (error: unknown): boolean => error instanceof BusError && /already (loaded|exists)|UnitExists/i.test(error.reply);

/** A unit's name in an object path: everything but letters and digits, and a leading digit, as `_` and two hex digits. Source: sd_bus_path_encode(3). */
export const busLabel = (unit: string): string =>
  [...unit].map((char, index) => (/[A-Za-z]/.test(char) || (/\d/.test(char) && index > 0) ? char : `_${char.charCodeAt(0).toString(16).padStart(2, "0")}`)).join("");
