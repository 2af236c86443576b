// Hostile guests: registers, rings and requests of every device at random, with a seed that failures name. Nothing may throw but what is
// meant to, nothing outside of guest memory may change, and nothing may grow.
import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { directory, file, SyntheticFileSystem } from "../../../gofer/synthetic.ts";
import { Session } from "../../../gofer/fuse/session.ts";
import { permanentBlock } from "../../../linux/memory.unsafe.ts";
import { POLLIN } from "../../../linux/abi/poll.ts";
import { setNonBlocking } from "../../../linux/fcntl.ts";
import { listenUnix, socketPair } from "../../../linux/socket.ts";
import { Balloon } from "../../../vmm/devices/balloon.ts";
import { Block } from "../../../vmm/devices/block.ts";
import { Console } from "../../../vmm/devices/console.ts";
import { Fs } from "../../../vmm/devices/fs.ts";
import { tryReadInto, tryWriteFrom } from "../../../vmm/devices/host-io.ts";
import { Mem } from "../../../vmm/devices/mem.ts";
import { Net } from "../../../vmm/devices/net.ts";
import { Pmem } from "../../../vmm/devices/pmem.ts";
import { Rng } from "../../../vmm/devices/rng.ts";
import { Vsock } from "../../../vmm/devices/vsock/vsock.ts";
import { STATUS } from "../../../vmm/virtio/transport.ts";
import { bringUp, fillQueue, holdings, hostileNumber, Random, setUp, write, type MakeDevice } from "./hostile-guest.ts";

const ROUNDS = 1500;
let sockets = 0;
const folder = mkdtempSync(join(tmpdir(), "tssandbox-vmm-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const devices: Record<string, MakeDevice> = {
  block: () => {
    const path = join(folder, "disk");
    writeFileSync(path, Buffer.alloc(1 << 20));
    return new Block({ fd: openSync(path, "r+"), readOnly: false });
  },
  console: () => new Console({ output: openSync("/dev/null", "w"), input: openSync("/dev/zero", "r") }),
  /** What reaches the tap comes back. The packets themselves: net-fuzz.test.ts. */
  net: (_memory, loop) => {
    const SOCK_DGRAM = 2;
    const [tap, wire] = socketPair(SOCK_DGRAM).map((end) => {
      setNonBlocking(end);
      return end.release();
    }) as [number, number];
    const packet = new Uint8Array(1 << 17);
    loop.watch(wire, POLLIN, () => {
      const size = tryReadInto(wire, [packet]);
      if (typeof size === "number") tryWriteFrom(wire, [packet.subarray(0, size)]);
    });
    return new Net({ tap, setOffload: () => undefined, mac: new Uint8Array(6), bytesPerSecond: 1 << 24 });
  },
  rng: () => new Rng(),
  balloon: (memory) => new Balloon((address, size) => memory.discard(address, size)),
  mem: (memory) => {
    // Not memory of the guest's rings: a request that reaches it has to name it.
    const region = { start: 2 ** 32, size: 128 << 20, block: memory.regions[0]?.block ?? permanentBlock(1), offset: 0 };
    const mem = new Mem({ region, plugged: new Uint8Array(64) }, (address, size) => memory.discard(address, size));
    mem.request(64 << 20);
    return mem;
  },
  pmem: () => new Pmem({ fd: openSync("/dev/null", "r"), readOnly: true, start: 2 ** 32, size: 2 << 20 }),
  vsock: () => new Vsock({ cid: 3, listener: listenUnix(join(folder, `vsock${sockets++}`)) }),
  fs: () => {
    const [request, reply] = [permanentBlock((1 << 20) + 4096), permanentBlock((1 << 20) + 4096)];
    const session = new Session(new SyntheticFileSystem(directory({ a: file(() => "content") })), request, reply);
    return new Fs("tag", { request: request.bytes, reply: reply.bytes, handle: (length, capacity) => session.handle(length, capacity) });
  },
};

const REGISTERS = [0x000, 0x010, 0x014, 0x020, 0x024, 0x030, 0x034, 0x038, 0x044, 0x050, 0x064, 0x070, 0x080, 0x084, 0x090, 0x094, 0x0a0, 0x0a4, 0x0fc, 0x100, 0x104, 0x1fc];

test.for(Object.entries(devices))("%s: registers at random", ([, make]) => {
  const random = new Random(0x5eed);
  const { transport, memory, loop, isIntact } = setUp(make);
  const before = holdings();
  for (let i = 0; i < ROUNDS * 20; i++) {
    const register = random.below(8) === 0 ? random.below(0x1000) : random.pick(REGISTERS);
    if (random.below(2) === 0) transport.read(register, random.pick([1, 2, 4, 8]));
    else transport.write(register, random.pick([1, 2, 4, 4, 4, 8]), hostileNumber(random), random.word());
    if (i % 50 === 0) {
      bringUp(transport, memory, 8);
      loop.turn(0);
    }
  }
  write(transport, 0x070, 0);
  expect([transport.read(0x070, 4)[0], isIntact(), before.hasGrown()]).toEqual([0, true, false]);
});

test.for(Object.entries(devices))("%s: rings and requests at random", ([, make]) => {
  const random = new Random(0xf022);
  const { transport, memory, loop, complaints, isIntact } = setUp(make);
  const size = 16;
  const before = holdings();
  let broken = 0;
  for (let round = 0; round < ROUNDS; round++) {
    if (round === 0 || (transport.read(0x070, 4)[0] & STATUS.needsReset) !== 0) {
      broken += round === 0 ? 0 : 1;
      bringUp(transport, memory, size);
    }
    for (const queue of transport.device.queueSizes.keys()) fillQueue(random, memory, queue, size);
    for (const queue of transport.device.queueSizes.keys()) write(transport, 0x050, queue);
    loop.turn(0);
  }
  expect([isIntact(), before.hasGrown()]).toEqual([true, false]);
  expect(loop.waiting).toBeLessThan(16);
  // A fuzzer whose every ring is refused, or none, tests nothing.
  expect(broken).toBeGreaterThan(0);
  expect(broken).toBeLessThan(ROUNDS / 2);
  expect(complaints()).toBeGreaterThan(0);
});
