import type { LinuxDeviceCgroup } from "../spec/config-resources.ts";
import { CgroupError } from "./files.ts";

/** `undefined` major or minor: any. `access` is a subset of "rwm", in this order. */
export interface DeviceRule {
  readonly type: "b" | "c";
  readonly major: number | undefined;
  readonly minor: number | undefined;
  readonly access: string;
}

/** What a cgroup lets through: everything but `exceptions`, or nothing but them. */
export interface DevicePolicy {
  readonly allowByDefault: boolean;
  readonly exceptions: readonly DeviceRule[];
}

export const denyAll: DevicePolicy = { allowByDefault: false, exceptions: [] };

const access = { r: 4, w: 2, m: 1 } as const;
const bitsOf = (text: string): number => (Object.keys(access) as Array<keyof typeof access>).reduce((bits, key) => (text.includes(key) ? bits | access[key] : bits), 0);
const textOf = (bits: number): string => (Object.keys(access) as Array<keyof typeof access>).filter((key) => bits & access[key]).join("");

/**
 * Allowed in every container, after the config's own rules. Making any node is harmless, opening it is what is checked.
 * /dev/console is a bind of the container's terminal (136:*): the host's 5:1 is not in the list.
 * Source: runtime-spec, config-linux, "Default Devices".
 */
export const defaultDeviceRules: readonly LinuxDeviceCgroup[] = [
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
  { allow: true, type: "c", major: 1, minor: 3, access: "rwm" }, // null
  { allow: true, type: "c", major: 1, minor: 5, access: "rwm" }, // zero
  { allow: true, type: "c", major: 1, minor: 7, access: "rwm" }, // full
  { allow: true, type: "c", major: 1, minor: 8, access: "rwm" }, // random
  { allow: true, type: "c", major: 1, minor: 9, access: "rwm" }, // urandom
  { allow: true, type: "c", major: 5, minor: 0, access: "rwm" }, // tty
  { allow: true, type: "c", major: 5, minor: 2, access: "rwm" }, // ptmx
  { allow: true, type: "c", major: 136, access: "rwm" }, // pts/*
];

const keyOf = ({ type, major, minor }: DeviceRule): string => `${type} ${major ?? "*"}:${minor ?? "*"}`;

/** As written to devices.allow and devices.deny. Source: Documentation/admin-guide/cgroup-v1/devices.rst. */
export const ruleText = (rule: DeviceRule): string => `${keyOf(rule)} ${rule.access}`;

/**
 * The config's rules, applied in their order to a deny-all, as the least set of exceptions that means the same.
 * @throws CgroupError for a rule that takes back part of a wider exception: neither v1 nor an exception list can say
 * so, and v1 ignores it in silence, which would leave open what the config closes.
 */
export function policyFromRules(rules: readonly LinuxDeviceCgroup[]): DevicePolicy {
  let allowByDefault = false;
  const exceptions = new Map<string, DeviceRule>();
  rules.forEach((rule, index) => {
    const field = `linux.resources.devices[${index}]`;
    const parsed = parseRule(rule, field);
    if (parsed === "all") {
      allowByDefault = rule.allow;
      exceptions.clear();
    } else if (rule.allow === allowByDefault) {
      takeBack(exceptions, parsed, field);
    } else {
      addException(exceptions, parsed);
    }
  });
  return { allowByDefault, exceptions: [...exceptions.values()].sort(byNumber) };
}

/** The spec says -1 or nothing for "any". */
const numberOrAny = (value: number | undefined): number | undefined => (value === undefined || value < 0 ? undefined : value);

function parseRule(rule: LinuxDeviceCgroup, field: string): DeviceRule | "all" {
  const { type = "a" } = rule;
  const bits = bitsOf(rule.access ?? "rwm");
  if (!/^[rwm]*$/.test(rule.access ?? "")) throw new CgroupError(`${field}.access`, `must be of the letters rwm, is ${JSON.stringify(rule.access)}`);
  if (type === "a") return "all";
  if (type !== "b" && type !== "c") throw new CgroupError(`${field}.type`, `must be "a", "b" or "c", is ${JSON.stringify(type)}`);
  return { type, major: numberOrAny(rule.major), minor: numberOrAny(rule.minor), access: textOf(bits === 0 ? 7 : bits) };
}

function addException(exceptions: Map<string, DeviceRule>, rule: DeviceRule): void {
  const before = exceptions.get(keyOf(rule))?.access ?? "";
  exceptions.set(keyOf(rule), { ...rule, access: textOf(bitsOf(before) | bitsOf(rule.access)) });
}

function takeBack(exceptions: Map<string, DeviceRule>, rule: DeviceRule, field: string): void {
  const wider = [{ ...rule, major: undefined }, { ...rule, minor: undefined }, { ...rule, major: undefined, minor: undefined }];
  for (const candidate of wider.filter((one) => keyOf(one) !== keyOf(rule))) {
    const clash = exceptions.get(keyOf(candidate));
    if (clash !== undefined && bitsOf(clash.access) & bitsOf(rule.access)) {
      throw new CgroupError(field, `"${ruleText(rule)}" would make a hole in the earlier "${ruleText(clash)}", which cgroups cannot express`);
    }
  }
  const left = textOf(bitsOf(exceptions.get(keyOf(rule))?.access ?? "") & ~bitsOf(rule.access));
  if (left === "") exceptions.delete(keyOf(rule));
  else exceptions.set(keyOf(rule), { ...rule, access: left });
}

const byNumber = (a: DeviceRule, b: DeviceRule): number =>
  (a.major ?? -1) - (b.major ?? -1) || (a.minor ?? -1) - (b.minor ?? -1) || Number(a.type > b.type) - Number(a.type < b.type);

/** The policy behind the text of a v1 devices.list. One that allows by default does not list what it denies. */
export function policyFromList(list: string): DevicePolicy {
  const exceptions = list.trim().split("\n").filter(Boolean).map((line): DeviceRule | "all" => {
    const [type, numbers = "", perms = ""] = line.split(" ");
    const [major, minor] = numbers.split(":").map((text) => (text === "*" ? undefined : Number(text)));
    return type === "b" || type === "c" ? { type, major, minor, access: textOf(bitsOf(perms)) } : "all";
  });
  if (exceptions.includes("all")) return { allowByDefault: true, exceptions: [] };
  return { allowByDefault: false, exceptions: (exceptions as DeviceRule[]).sort(byNumber) };
}

/** One write to devices.allow or devices.deny. */
export interface DeviceWrite {
  readonly file: "devices.allow" | "devices.deny";
  readonly value: string;
}

const fileFor = (allow: boolean): DeviceWrite["file"] => (allow ? "devices.allow" : "devices.deny");

/** `rules` without the access that `taken` has for the same devices. */
function minus(rules: readonly DeviceRule[], taken: readonly DeviceRule[]): DeviceRule[] {
  return rules.flatMap((rule) => {
    const other = taken.find((one) => keyOf(one) === keyOf(rule));
    const left = textOf(bitsOf(rule.access) & ~bitsOf(other?.access ?? ""));
    return left === "" ? [] : [{ ...rule, access: left }];
  });
}

/**
 * The fewest writes that lead from one v1 policy to another; what both allow is allowed throughout. From a cgroup that
 * allows by default, whose exceptions are unknown, or into one, everything is reset first.
 */
export function transition(from: DevicePolicy, to: DevicePolicy): DeviceWrite[] {
  const reset = from.allowByDefault || to.allowByDefault;
  const before = reset ? [] : from.exceptions;
  return [
    ...(reset ? [{ file: fileFor(to.allowByDefault), value: "a" }] : []),
    ...minus(before, to.exceptions).map((rule) => ({ file: fileFor(to.allowByDefault), value: ruleText(rule) })),
    ...minus(to.exceptions, before).map((rule) => ({ file: fileFor(!to.allowByDefault), value: ruleText(rule) })),
  ];
}
