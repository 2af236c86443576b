// The micro-VM with the real KVM API and stock kernels: QEMU emulates a processor with SVM, Debian runs in it, and in that our VMM boots
// Debian's kernel again. vmm/facts.ts does it inside, this file judges.
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { bundleForMachine, removeBundles } from "./vmm/bundle.ts";
import { bootMachine } from "./machine.ts";
import type { Machine } from "./machine.ts";

/** As emulated: about 75 s on two idle cores, 200 on busy ones; the host may be slower as well. */
const INSIDE_SECONDS = 1200;

let machine: Machine;
let facts: Readonly<Record<string, unknown>> = {};

beforeAll(async () => {
  await bundleForMachine();
  machine = await bootMachine({ cpu: "EPYC,+svm" });
  // The machine has its copy, and nobody is to publish them.
  removeBundles();
  const { stdout, stderr, status } = await machine.runScript("exec node dist/vmm-facts/tssandbox.cjs", { seconds: INSIDE_SECONDS });
  if (status !== 0) throw new Error(`the run inside ended with ${status}:\n${stdout}${stderr}`);
  facts = JSON.parse(stdout) as typeof facts;
  // Told, not asserted: the machine is shared. What a restore takes beside a cold boot is microvm.test.ts', which counts instructions.
  process.stdout.write(`cold boot ${facts["cold boot ms"]} ms, clones ${facts["clone 1 ms"]} and ${facts["clone 2 ms"]} ms\n`);
});

afterAll(async () => {
  await machine?.[Symbol.asyncDispose]();
});

const text = (name: string) => String(facts[name]);

test("vm check says: hardware, in a virtual machine", () => {
  expect(facts["check"]).toBe("nested");
});

describe("Debian's kernel with every device", () => {
  test("comes up with two processors and the right time, and nothing went wrong on the way", () => {
    expect(facts["everyDevice failed"]).toBeUndefined();
    expect(facts["uname"]).toMatch(/^6\.1\.0-\d+-cloud-amd64$/);
    expect(facts["processors"]).toBe("2");
    // It had the time of the machine's clock, in seconds, when it booted, and counts by an emulated processor's since.
    expect(Number(facts["clock"])).toBeGreaterThan(Number(facts["clock.before"]) - 30);
    expect(Number(facts["clock"])).toBeLessThan(Number(facts["clock.after"]) + 30);
    expect(facts["exit status"]).toBe("1");
    expect(facts["everyDevice.stderr"]).toBe("");
  });

  test("block: reads what is in the file, writes to it, has its serial number", () => {
    expect(facts["block.read"]).toBe(facts["disk.sha256"]);
    expect(facts["block.written"]).toBe("written-by-the-guest");
    expect(facts["block.serial"]).toBe("tssandbox-disk");
  });

  test("rng is the kernel's source of entropy", () => {
    expect(text("rng")).toMatch(/^virtio_rng\.0\n[0-9a-f]{64} /);
  });

  test("pmem shows its file", () => {
    expect(facts["pmem"]).toBe("persistent");
  });

  test("fs: 100 MB through the gofer with the same checksum, and 5 MB back", () => {
    expect(facts["fs.mount"]).toBe("big");
    expect(facts["fs.read"]).toBe(facts["share.sha256"]);
    expect(facts["fs.write"]).toMatch(/^[0-9a-f]{64}$/);
    expect(facts["fs.write"]).toBe(facts["fs.written"]);
  });

  test("net: ping and HTTP to the host's side of the tap", () => {
    expect(facts["net.up"]).toBe("2 packets transmitted, 2 packets received, 0% packet loss");
    expect(facts["net.http"]).toBe("hello from the host");
  });

  test("vsock: a client to a port without a listener is told", () => {
    expect(text("vsock.refused").trim()).toBe("closed");
  });

  test("balloon: the guest gives memory back, and takes it again", () => {
    expect(Number(facts["balloon.before"]) - Number(facts["balloon.after"])).toBeGreaterThan(32 * 1024);
    expect(Number(facts["balloon.before"]) - Number(facts["balloon.back"])).toBeLessThan(16 * 1024);
  });

  test("mem: the guest takes memory while it runs, uses it, and gives it back", () => {
    expect([facts["mem.asked"], facts["mem.given"]]).toEqual([expect.objectContaining({ requested: 160 }), { ok: true, requested: 160, plugged: 160 }]);
    expect(Number(facts["mem.after"]) - Number(facts["mem.before"])).toBe(160 * 1024);
    expect([facts["mem.used"], facts["mem.back"]]).toEqual([facts["mem.disk"], expect.objectContaining({ ok: true, requested: 0 })]);
    // A block with a page that is just then in use stays, and Linux tries again only after a while: nearly all of it is what a guest can promise.
    expect((facts["mem.back"] as { plugged: number }).plugged).toBeLessThanOrEqual(16);
  });

  test("pauses, resumes, and refuses what it cannot do", () => {
    expect([facts["pause"], facts["pause.twice"], facts["resume"]]).toEqual([{ ok: true }, { ok: true }, { ok: true }]);
    expect(facts["after resume"]).toBe("still here");
    expect(facts["bad command"]).toHaveProperty("error");
    expect(facts["snapshot while running"]).toEqual({ error: "the machine is running: pause it first" });
  });

  test("powers off by ACPI", () => {
    expect([facts["power-off status"], facts["serial"]]).toEqual([0, expect.stringContaining("reboot: Power down")]);
  });
});

describe("snapshot", () => {
  test("is taken while paused", () => {
    expect(facts["snapshot failed"]).toBeUndefined();
    expect([facts["snapshot.pause"], facts["snapshot"], facts["stopped status"]]).toEqual([{ ok: true }, { ok: true }, 4]);
  });

  test.for([1, 2])("clone %i goes on where the original was", (clone) => {
    expect(facts[`clone ${clone}`]).toBe("42 kept");
    expect(facts[`clone ${clone} ticks`]).toBe("slept");
  });

  test("clones have different randomness from the host", () => {
    expect(facts["clone 1 hwrng"]).toMatch(/^[0-9a-f]{64} /);
    expect(facts["clone 1 hwrng"]).not.toBe(facts["clone 2 hwrng"]);
  });

  test("a damaged one is refused", () => {
    expect([facts["damaged status"], facts["damaged"]]).toEqual([1, "tssandbox vmm: the snapshot is damaged: its checksum is wrong\n"]);
  });
});
