// Our VMM beside QEMU's microvm in a machine whose clock counts instructions: what is compared does not depend on who else works on the host. The limits leave
// room for another version of Node, QEMU or the kernel, and QEMU, which alone was not started before, needs 4 % more than it does later. docs/benchmarks.md has what
// was measured.
import { beforeAll, describe, expect, test } from "vitest";
import { measureMicrovms } from "./vmm/microvm.ts";

/**
 * It takes a minute. Now and then QEMU 7.2, counting instructions, stands still for good while our guest boots in it: its vCPU thread asks for instructions to
 * carry out over and over, none is granted, and its clock does not go on.
 */
const PATIENCE = [240, 600, 1200];

type Values = Readonly<Record<string, number>>;
let results: Readonly<Record<string, readonly Values[]>> = {};

beforeAll(async () => {
  const { stdout, stderr, status } = await measureMicrovms(["--rounds", "0", "--device-rounds", "0"], { countsInstructions: true, bootSeconds: 600 }, PATIENCE);
  if (status !== 0) throw new Error(`the bench ended with ${status}:\n${stderr}`);
  results = JSON.parse(stdout) as typeof results;
  for (const [what, rounds] of Object.entries(results)) process.stdout.write(`${what}: ${JSON.stringify(rounds[0])}\n`);
});

const value = (what: string, name: string): number => results[what]?.[0]?.[name] ?? Number.NaN;

/** Of a boot of ours to one of QEMU's. */
function ratio(name: string, kernel: Kernel, theirs: Kernel = kernel): number {
  return value(`tssandbox ${kernel}`, name) / value(`qemu ${theirs}`, name);
}

/** As it comes, and as `tssandbox vm build` leaves it. */
const KERNELS = ["boot", "boot, unpacked"] as const;
type Kernel = (typeof KERNELS)[number];

describe.each(KERNELS)("%s", (kernel) => {
  test("the guest's first program runs after not many more instructions than in QEMU", () => {
    expect(ratio("to init, ms", kernel)).toBeLessThan(1.2);
  });

  test("from the guest's first instruction on it takes about as many", () => {
    expect(ratio("entry to init, ms", kernel)).toBeLessThan(1.08);
  });

  test("there are fewer exits", () => {
    expect(ratio("exits", kernel)).toBeLessThan(1);
  });

  test("the VMM's memory is less than QEMU's", () => {
    expect(ratio("memory of the VMM, KiB", kernel)).toBeLessThan(1);
  });
});

test("with its own image it starts about as quickly as QEMU with a distribution's kernel", () => {
  expect(ratio("to init, ms", "boot, unpacked", "boot")).toBeLessThan(1.1);
});

test("a restore is a fraction of a cold boot", () => {
  expect(value("tssandbox restore", "restore to next line, ms") / value("tssandbox boot, unpacked", "to init, ms")).toBeLessThan(0.2);
});
