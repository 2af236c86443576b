// The guest's memory is a buffer that V8 counts as its own. With a VMM's flags it is no reason to mark the whole heap in the midst of a start.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { expect, test } from "vitest";
import { VMM_V8_FLAGS } from "../../../vmm/node-flags.ts";

const MEMORY = join(import.meta.dirname, "../../../linux/kvm-memory.unsafe.ts");
/** Maps 256 MiB, and goes on for long enough for a marking to end: without the flags one does. */
const PROGRAM = `import { mapGuestForever } from ${JSON.stringify(MEMORY)};
const block = mapGuestForever(256 << 20);
const kept = [];
for (let i = 0; i < 300_000; i++) kept[i % 1000] = [i];
console.log("mapped", block.size);`;

function collections(flags: readonly string[]): { readonly mapped: boolean; readonly marked: boolean } {
  const { stdout } = spawnSync(process.execPath, ["--trace-gc", ...flags, "--input-type=module", "--eval", PROGRAM], { encoding: "utf8" });
  return { mapped: stdout.includes("mapped 268435456"), marked: stdout.includes("Mark-Compact") };
}

test("a VMM's heap is not marked because of its guest's memory, which V8 would do by itself", () => {
  expect(collections(VMM_V8_FLAGS)).toEqual({ mapped: true, marked: false });
  expect(collections([]).marked).toBe(true);
});
