import { readFileSync } from "node:fs";
import { listDirectory, open, pipe, readAll, readLinkAt } from "../../../../linux/file.ts";
import { AT_FDCWD } from "../../../../linux/fd.ts";
import { O_DIRECTORY, O_RDONLY } from "../../../../linux/abi/fcntl.ts";
import { dropInherited, ringMappings } from "../../../../linux/inherited.unsafe.ts";
import { defineCases, refusal } from "../../../support/forked.ts";

/** Descriptor -> what it refers to, without the one that lists. */
function descriptors(): Record<string, string> {
  using dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
  const numbers = listDirectory(dir).filter((name) => Number(name) !== dir.number);
  return Object.fromEntries(numbers.map((name) => [name, readLinkAt(AT_FDCWD, `/proc/self/fd/${name}`)]));
}

function ringLines(): number {
  using maps = open("/proc/self/maps", O_RDONLY);
  return Buffer.from(readAll(maps, 64 << 20)).toString().split("\n").filter((line) => line.includes("io_uring")).length;
}

/** Garbage and new code, after the rings are gone. */
function work(): number {
  let sum = 0;
  for (let i = 0; i < 50_000; i++) sum += Array.from({ length: 10 }, (_, k) => ({ k, text: `${i}-${k}` })).length;
  return sum;
}

const parentRings = ringMappings();
defineCases({
  "drop": () => {
    const before = { kinds: Object.values(descriptors()), rings: ringLines() };
    const [reader, writer] = pipe();
    dropInherited([writer, reader]);
    return { before, kept: Object.keys(descriptors()), expected: ["0", "1", "2", `${reader.number}`, `${writer.number}`], rings: ringLines(), sum: work() };
  },
  "drop all": () => {
    dropInherited([]);
    return Object.keys(descriptors());
  },
  "standard and doubled": () => {
    const [reader] = pipe();
    dropInherited([reader, 0, reader, 1]);
    return Object.keys(descriptors()).length;
  },
  "parent's list": () => {
    dropInherited([], parentRings);
    return { found: parentRings.length, left: ringLines() };
  },
  "closed for use": () => {
    const [reader] = pipe();
    dropInherited([]);
    return { read: refusal(() => readAll(reader)), nodeOpens: readFileSync("/proc/self/comm", "utf8").length > 0 };
  },
});
