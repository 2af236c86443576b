/** What a container learns of the machine that it runs on, compared with what the host says of itself. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { cpus, hostname, networkInterfaces, release, totalmem, uptime, version } from "node:os";
import type { Outcome, Probe } from "../result.ts";
import type { Runtime } from "../runtimes.ts";
import { probeBundle, whyOf } from "./container.ts";

/** By the names that guest/leaks.c gives, which for files are their paths. Undefined where an error came back, or nothing was asked. */
export type Answers = (name: string) => string | undefined;

export interface Leak extends Pick<Probe, "name" | "about" | "families"> {
  readonly compare: (guest: Answers, host: Answers, bundle: string) => Outcome;
}

const leaks = (detail: string): Outcome => ({ verdict: "leaks", detail: detail.replaceAll(/\s+/g, " ").trim().slice(0, 120) });
const hidden = (detail = ""): Outcome => ({ verdict: "hidden", ...(detail !== "" && { detail: detail.replaceAll(/\s+/g, " ").trim().slice(0, 120) }) });
const cannotTell = (detail: string): Outcome => ({ verdict: "unknown", detail });

/** Of files that are the same, word by word, if they are the host's. */
const equal = (...names: readonly string[]) => (guest: Answers, host: Answers): Outcome => {
  const known = names.filter((name) => (host(name) ?? "").trim() !== "");
  if (known.length === 0) return cannotTell(`the host has no ${names.join(", ")} to compare with`);
  const told = known.find((name) => guest(name)?.trim() === host(name)?.trim());
  return told === undefined ? hidden() : leaks(`${told}: ${guest(told) ?? ""}`);
};

const firstNumber = (text: string | undefined) => Number(/-?\d+(\.\d+)?/.exec(text ?? "")?.[0] ?? NaN);
const field = (answers: Answers, file: string, pattern: RegExp) => pattern.exec(answers(file) ?? "")?.[1];
const near = (a: number, b: number, within: number) => Math.abs(a - b) <= within;

/** Seconds. */
const SOON = 60;
const YOUNG = 300;

function compareUptime(guest: Answers, host: Answers): Outcome {
  const own = firstNumber(host("/proc/uptime"));
  if (own < YOUNG) return cannotTell("the host has started too short a time ago to tell its uptime from the container's");
  const names = ["/proc/uptime", "sysinfo uptime", "monotonic", "boottime"];
  const told = names.filter((name) => near(firstNumber(guest(name)), own, SOON));
  return told.length === 0 ? hidden() : leaks(told.join(", "));
}

function compareBootTime(guest: Answers, host: Answers): Outcome {
  const [inside, outside] = [guest, host].map((answers) => Number(field(answers, "/proc/stat", /^btime (\d+)/m)));
  if (outside === undefined || Number.isNaN(outside)) return cannotTell("the host does not tell");
  return near(inside ?? NaN, outside, 5) ? leaks(`btime ${inside}`) : hidden();
}

function compareProcessors(guest: Answers, host: Answers): Outcome {
  const own = firstNumber(host("affinity"));
  const count = (guest("/proc/cpuinfo")?.match(/^processor\s*:/gm) ?? []).length;
  const told = [["/proc/cpuinfo", count], ["sched_getaffinity", firstNumber(guest("affinity"))]].filter(([, value]) => value === own);
  return told.length === 0 ? hidden() : leaks(`${own}, by ${told.map(([name]) => name).join(", ")}`);
}

function compareMemory(guest: Answers, host: Answers): Outcome {
  const own = firstNumber(host("sysinfo memory"));
  const values = { "/proc/meminfo": 1024 * Number(field(guest, "/proc/meminfo", /^MemTotal:\s*(\d+)/m)), "sysinfo": firstNumber(guest("sysinfo memory")) };
  const told = Object.entries(values).filter(([, value]) => near(value, own, own / 50));
  return told.length === 0 ? hidden(`${Math.round(values.sysinfo / 2 ** 20)} MiB are told`) : leaks(`${Math.round(own / 2 ** 20)} MiB, by ${told.map(([name]) => name).join(", ")}`);
}

/** Devices of the host's disks, and the directory that the bundle lies in. */
function compareMounts(guest: Answers, host: Answers, bundle: string): Outcome {
  const text = guest("/proc/self/mountinfo");
  if (text === undefined) return hidden("no mountinfo");
  const name = bundle.split("/").at(-1) ?? bundle;
  const disks = [...(host("/proc/self/mountinfo") ?? "").matchAll(/ - \S+ (\/dev\/\S+)/g)].map((match) => match[1] ?? "");
  const told = [name, ...disks].filter((word) => text.includes(word));
  return told.length === 0 ? hidden() : leaks([...new Set(told)].join(", "));
}

const words = (text: string | undefined) => (text ?? "").split(/\s+/).filter((word) => word !== "");

/** The probe, and perhaps an init. */
const OWN_PROCESSES = 3;

function compareProcesses(guest: Answers): Outcome {
  const pids = words(guest("/proc")).filter((name) => /^\d+$/.test(name));
  return pids.length <= OWN_PROCESSES ? hidden(`${pids.length} of its own`) : leaks(`${pids.length} processes`);
}

const sharedNames = (name: string) => (guest: Answers, host: Answers): Outcome => {
  const own = words(host(name)).filter((word) => word !== "lo");
  if (own.length === 0) return cannotTell("the host has none");
  const told = own.filter((word) => words(guest(name)).includes(word));
  return told.length === 0 ? hidden() : leaks(told.slice(0, 8).join(", "));
};

function compareInterfaces(guest: Answers, host: Answers): Outcome {
  const inside = [...words(guest("/sys/class/net")), ...[...(guest("/proc/net/dev") ?? "").matchAll(/^\s*([^\s:]+):/gm)].map((match) => match[1] ?? "")];
  const own = words(host("/sys/class/net")).filter((name) => !/^(lo|tunl0|sit0|ip6tnl0|gre0|gretap0|erspan0)$/.test(name));
  const told = own.filter((name) => inside.includes(name));
  if (own.length === 0) return cannotTell("the host has no interface but a loopback");
  return told.length === 0 ? hidden() : leaks(told.join(", "));
}

function compareCgroup(guest: Answers): Outcome {
  const text = guest("/proc/self/cgroup");
  const paths = (text ?? "").split("\n").map((line) => line.split(":")[2] ?? "").filter((path) => path !== "" && path !== "/");
  return paths.length === 0 ? hidden(text === undefined ? "no such file" : "") : leaks(paths[0] ?? "");
}

function compareLoad(guest: Answers, host: Answers): Outcome {
  const [inside, outside] = [guest, host].map((answers) => Number(field(answers, "/proc/loadavg", /\d+\/(\d+)/)));
  return near(inside ?? NaN, outside ?? NaN, (outside ?? 0) / 4) ? leaks(`${inside} tasks on the machine, load ${words(guest("/proc/loadavg")).slice(0, 3).join(" ")}`) : hidden();
}

/** A time of day is no counter. */
const sum = (text: string) => [...text.replace(/^btime .*/m, "").matchAll(/\b\d+\b/g)].reduce((total, match) => total + Number(match[0]), 0);

/** Counters that go up with what the host and its other containers do: a clock for side channels. */
const ACTIVITY = ["/proc/stat", "/proc/interrupts", "/proc/softirqs", "/proc/schedstat", "/proc/vmstat", "/proc/diskstats", "/proc/timer_list"];
/** Of the sum of a file's numbers, which another kernel will not come near. */
const ALIKE = 0.05;

function compareActivity(guest: Answers, host: Answers): Outcome {
  const told = ACTIVITY.filter((file) => {
    const [inside, outside] = [sum(guest(file) ?? ""), sum(host(file) ?? "")];
    return outside > 0 && near(inside, outside, outside * ALIKE);
  });
  return told.length === 0 ? hidden() : leaks(told.join(", "));
}

function compareSymbols(guest: Answers): Outcome {
  const text = guest("/proc/kallsyms") ?? "";
  if (text === "") return hidden("nothing to read");
  return /^0*[1-9a-f][\da-f]* /m.test(text) ? leaks("/proc/kallsyms with addresses") : hidden("names, with addresses of 0");
}

function compareKernelLog(guest: Answers, host: Answers): Outcome {
  const own = (host("kernel log") ?? "").split("\n").filter((line) => line.length > 20);
  if (own.length === 0) return cannotTell("the host's kernel log cannot be read");
  const inside = guest("kernel log");
  const told = own.slice(-20).find((line) => inside?.includes(line));
  return told === undefined ? hidden(inside === undefined ? "refused" : "") : leaks(told);
}

function compareEnergy(guest: Answers, host: Answers): Outcome {
  const file = "/sys/class/powercap/intel-rapl:0/energy_uj";
  if (host(file) === undefined) return cannotTell("the host has no such counter");
  return guest(file) === undefined ? hidden() : leaks(file);
}

function compareRelease(guest: Answers, host: Answers): Outcome {
  const own = host("release") ?? "";
  const told = ["release", "/proc/version"].filter((name) => guest(name)?.includes(own));
  return told.length === 0 ? hidden(`tells ${guest("release") ?? "nothing"}`) : leaks(own);
}

export const LEAKS: readonly Leak[] = [
  { name: "kernel version", about: "Asks uname and /proc/version.", compare: compareRelease },
  { name: "kernel version in the vDSO", about: "Reads the version that the kernel writes into the page of code that it maps into every process.", compare: equal("vdso") },
  { name: "kernel build and command line", about: "Asks uname, and reads /proc/cmdline.", compare: equal("build", "/proc/cmdline") },
  { name: "uptime", about: "Asks /proc/uptime, sysinfo and the clocks that count from the start of the machine.", compare: compareUptime },
  { name: "boot time", about: "Reads btime of /proc/stat.", compare: compareBootTime },
  { name: "boot id", about: "Reads /proc/sys/kernel/random/boot_id, by which containers find out that they are neighbours.", compare: equal("/proc/sys/kernel/random/boot_id") },
  { name: "number of processors", about: "Counts them in /proc/cpuinfo and in its affinity.", compare: compareProcessors },
  {
    name: "model of the processor",
    about: "Reads the model name of /proc/cpuinfo.",
    compare: (guest, host) => {
      const [inside, outside] = [guest, host].map((answers) => field(answers, "/proc/cpuinfo", /^model name\s*: (.*)/m));
      if (outside === undefined) return cannotTell("the host does not tell");
      return inside === outside ? leaks(inside) : hidden();
    },
  },
  { name: "memory of the machine", about: "Asks /proc/meminfo and sysinfo, in a container with a limit of its own.", compare: compareMemory },
  { name: "paths and disks of the host", about: "Looks in its mount table for the directory of its bundle and the devices that the host has mounted.", compare: compareMounts },
  { name: "processes", about: "Counts the processes in /proc.", compare: compareProcesses },
  { name: "network interfaces", about: "Looks for the host's interfaces in /sys/class/net and /proc/net/dev.", compare: compareInterfaces },
  { name: "block devices", about: "Looks for the host's disks in /sys/block.", compare: sharedNames("/sys/block") },
  { name: "machine id", about: "Reads /etc/machine-id and the product's serial in /sys/class/dmi.", compare: equal("/etc/machine-id", "/sys/class/dmi/id/product_uuid") },
  { name: "host name", about: "Asks uname.", compare: equal("host name") },
  { name: "path of the cgroup", about: "Reads /proc/self/cgroup, where an engine's path tells its id.", compare: compareCgroup },
  { name: "load of the machine", about: "Reads /proc/loadavg.", compare: compareLoad },
  { name: "activity of the host", about: "Reads the counters of /proc that go up with all that the host does: interrupts, context switches, page faults, timers.", compare: compareActivity },
  { name: "energy of the processor", about: "Reads the energy counter in /sys/class/powercap, whose steps tell what others compute.", families: ["CVE-2020-8694"], compare: compareEnergy },
  { name: "addresses of the kernel", about: "Reads /proc/kallsyms.", compare: compareSymbols },
  { name: "kernel log", about: "Reads the kernel's log by syslog(2).", compare: compareKernelLog },
];

const unescape = (text: string) => text.replaceAll(/\\x([\da-f]{2})/g, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)));

/** Lines of `probe leaks`. */
export function parseAnswers(stdout: string): Answers {
  const lines = stdout.split("\n").map((line) => line.split("\t")).filter((fields) => fields.length === 2);
  const answers = new Map(lines.map(([name = "", value = ""]) => [name, value]));
  return (name) => {
    const value = answers.get(name);
    return value === undefined || value.startsWith("!") ? undefined : unescape(value);
  };
}

const ignoring = <T>(read: () => T): T | undefined => {
  try {
    return read();
  } catch {
    return undefined;
  }
};

/** The same questions, answered outside at this moment. */
export function hostAnswers(): Answers {
  const asked: Readonly<Record<string, () => string>> = {
    "release": release,
    "build": version,
    "host name": hostname,
    "vdso": () => release().split(".").slice(0, 2).join("."),
    "sysinfo memory": () => String(totalmem()),
    "sysinfo uptime": () => String(uptime()),
    "affinity": () => String(cpus().length),
    "/sys/class/net": () => Object.keys(networkInterfaces()).join(" "),
    "/sys/block": () => readdirSync("/sys/block").join(" "),
    "kernel log": () => spawnSync("dmesg", { encoding: "utf8" }).stdout ?? "",
  };
  return (name) => ignoring(asked[name] ?? (() => (name.startsWith("/") ? readFileSync(name, "utf8") : "")));
}

const MEMORY_LIMIT = 256 * 2 ** 20;

/** @returns by the leaks' names. */
export async function findLeaks(runtime: Runtime): Promise<Map<string, Outcome>> {
  using bundle = probeBundle({ args: ["leaks"], profile: true, resources: { memory: { limit: MEMORY_LIMIT } } });
  const run = await runtime.run(bundle, { seconds: 20 });
  const guest = parseAnswers(run.stdout);
  const host = hostAnswers();
  const answered = guest("release") !== undefined;
  return new Map(LEAKS.map(({ name, compare }) => [name, answered ? compare(guest, host, bundle.path) : cannotTell(`no answers: ${whyOf(run)}`)]));
}
