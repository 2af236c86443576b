import { readFileSync } from "node:fs";
import { listDirectory, open, pipe, readAll, readLinkAt } from "../../../../linux/file.ts";
import { AT_FDCWD } from "../../../../linux/fd.ts";
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY } from "../../../../linux/abi/fcntl.ts";
import { dropInherited, nodeResources } from "../../../../linux/inherited.unsafe.ts";
import { defineCases, refusal } from "../../../support/forked.ts";

/** Descriptor -> what it refers to, without the one that lists. */
function descriptors(): Record<string, string> {
  using dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
  const numbers = listDirectory(dir).filter((name) => Number(name) !== dir.number);
  return Object.fromEntries(numbers.map((name) => [name, readLinkAt(AT_FDCWD, `/proc/self/fd/${name}`)]));
}

/** All but standard streams and the private eventfds. */
function unusual(): string[] {
  const others = Object.entries(descriptors()).filter(([name, target]) => Number(name) > 2 && target !== "anon_inode:[eventfd]");
  return others.map(([name, target]) => `${name} ${target}`);
}

function infoField(name: string, field: string): string {
  using info = open(`/proc/self/fdinfo/${name}`, O_RDONLY);
  return new RegExp(`^${field}:\\s*(\\d+)$`, "m").exec(Buffer.from(readAll(info)).toString())?.[1] ?? "";
}

/** Descriptor -> the eventfd's id, which is unique on the machine. Source: proc_pid_fdinfo(5). */
function eventIds(): Map<string, string> {
  const names = Object.entries(descriptors()).filter(([, target]) => target === "anon_inode:[eventfd]");
  return new Map(names.map(([name]) => [name, infoField(name, "eventfd-id")]));
}

function ringLines(): number {
  using maps = open("/proc/self/maps", O_RDONLY);
  return Buffer.from(readAll(maps, 64 << 20)).toString().split("\n").filter((line) => line.includes("io_uring")).length;
}

/** Garbage and new code, after the rings are gone: V8 posts tasks meanwhile, which go to the eventfds. */
function work(): number {
  let sum = 0;
  for (let i = 0; i < 200_000; i++) sum += Array.from({ length: 10 }, (_, k) => ({ k, text: `${i}-${k}` })).length;
  return sum;
}

const parents = nodeResources();
defineCases({
  "drop": () => {
    const before = { kinds: Object.values(descriptors()), rings: ringLines() };
    const [reader, writer] = pipe();
    dropInherited([writer, reader]);
    const expected = [reader, writer].map(({ number }) => `${number} ${readLinkAt(AT_FDCWD, `/proc/self/fd/${number}`)}`);
    return { before, kept: unusual(), expected, rings: ringLines(), sum: work() };
  },
  "drop all": () => {
    const before = eventIds();
    dropInherited([]);
    const after = eventIds();
    const shared = [...after.values()].filter((id) => [...before.values()].includes(id));
    const closeOnExec = [...after.keys()].every((name) => (Number.parseInt(infoField(name, "flags"), 8) & O_CLOEXEC) !== 0);
    return { unusual: unusual(), closeOnExec, shared, before: before.size, after: after.size };
  },
  "standard and doubled": () => {
    const [reader] = pipe();
    dropInherited([reader, 0, reader, 1]);
    return { unusual: unusual().length, standard: ["0", "1", "2"].every((name) => name in descriptors()) };
  },
  "parent's list": () => {
    dropInherited([], parents);
    return { found: parents.rings.length, left: ringLines(), descriptors: unusual() };
  },
  "closed for use": () => {
    const [reader] = pipe();
    dropInherited([]);
    return { read: refusal(() => readAll(reader)), nodeOpens: readFileSync("/proc/self/comm", "utf8").length > 0 };
  },
});
