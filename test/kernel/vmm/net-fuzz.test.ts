// A hostile guest's network card: headers, lengths and chains at random on one side, packets of every length on the other. What reaches the tap is
// what a driver may say, and nothing of this process's but the guest's memory.
import { expect, test } from "vitest";
import { POLLIN } from "../../../linux/abi/poll.ts";
import { setNonBlocking } from "../../../linux/fcntl.ts";
import { socketPair } from "../../../linux/socket.ts";
import { tryReadInto, tryWriteFrom } from "../../../vmm/devices/host-io.ts";
import { Net } from "../../../vmm/devices/net.ts";
import { HEADER_SIZE, isSound } from "../../../vmm/devices/net-header.ts";
import type { GuestMemory } from "../../../vmm/memory.ts";
import type { Loop } from "../../../vmm/threads/loop.ts";
import { STATUS } from "../../../vmm/virtio/transport.ts";
import { bringUp, fillQueue, holdings, LEAK, MEMORY, Random, setUp, write } from "./hostile-guest.ts";
import { ringAddresses } from "./rings.ts";

const SOCK_DGRAM = 2;
const ROUNDS = 2000;
const SIZE = 16;
const TRANSMIT = 1;
const LONGEST = HEADER_SIZE + 65550;

/** The other end of a tap: takes what comes, and sends packets of its own. */
class Wire {
  readonly tap: number;
  readonly #end: number;
  readonly #buffer = Buffer.alloc(1 << 18);
  received = 0;
  segmented = 0;
  leaks = 0;
  longest = 0;
  readonly unsound: string[] = [];

  constructor(loop: Loop, features: () => number) {
    const [tap, wire] = socketPair(SOCK_DGRAM);
    for (const end of [tap, wire]) setNonBlocking(end);
    [this.tap, this.#end] = [tap.release(), wire.release()];
    loop.watch(this.#end, POLLIN, () => this.#take(features()));
  }

  #take(features: number): void {
    const size = tryReadInto(this.#end, [this.#buffer]);
    if (typeof size !== "number") return;
    const packet = this.#buffer.subarray(0, size);
    this.received++;
    this.longest = Math.max(this.longest, size);
    if (packet[1] !== 0) this.segmented++;
    if (packet.includes(LEAK)) this.leaks++;
    if (!isSound(packet, size - HEADER_SIZE, features)) this.unsound.push(packet.toString("hex", 0, HEADER_SIZE));
  }

  send(length: number): void {
    tryWriteFrom(this.#end, [Buffer.alloc(length, 0x5a)]);
  }
}

/** Packets as a driver makes them, with headers that are near the rules. */
function makePackets(random: Random, memory: GuestMemory): void {
  const view = memory.view(0, MEMORY);
  if (view === undefined) throw new Error("no memory");
  const { descriptors } = ringAddresses(SIZE, 0x10_000 * (TRANSMIT + 1));
  const near = () => random.pick([0, 1, 14, 34, 50, 60, 1000, 0xfffe, 0xffff, random.below(200)]);
  for (let head = 0; head < SIZE; head += 4) {
    const at = descriptors + head * 16;
    // The header may be cut in two; the packet is the rest.
    const cut = random.pick([HEADER_SIZE, HEADER_SIZE, 5, 1, 11, 40]);
    for (const [i, length] of [cut, random.below(120), random.pick([0, 60, 1500, 65536])].entries()) {
      view.setUint32(at + i * 16 + 8, length, true);
      view.setUint16(at + i * 16 + 12, i < 2 ? 1 : 0, true);
      // At the very end of memory, now and then: what lies behind must not be sent.
      if (random.below(8) === 0) view.setUint32(at + i * 16, MEMORY - length + random.pick([0, 0, 0, 0, 1, 16]), true);
    }
    const header = [random.pick([0, 1, 1, 1, 2, 4, 255]), random.pick([0, 0, 1, 4, 1, 4, 3, 5, 0x81, 255])];
    const first = view.getUint32(at, true);
    if (first > MEMORY - 64) continue;
    for (const [i, value] of header.entries()) view.setUint8(first + i, value);
    for (const offset of [2, 4, 6, 8]) view.setUint16(first + offset, near(), true);
  }
}

test("what reaches the tap keeps the rules, whatever the guest writes", () => {
  const random = new Random(0x6e70);
  let wire: Wire | undefined;
  const set = setUp((_memory, loop) => {
    wire = new Wire(loop, () => set.transport.driverFeatures);
    return new Net({ tap: wire.tap, setOffload: () => undefined, mac: new Uint8Array(6) });
  });
  const { transport, memory, loop, isIntact } = set;
  const before = holdings();
  let broken = 0;
  for (let round = 0; round < ROUNDS; round++) {
    if (round === 0 || (transport.read(0x070, 4)[0] & STATUS.needsReset) !== 0) {
      broken += round === 0 ? 0 : 1;
      bringUp(transport, memory, SIZE);
    }
    for (const queue of [0, TRANSMIT]) fillQueue(random, memory, queue, SIZE);
    if (random.below(5) > 0) makePackets(random, memory);
    wire?.send(random.pick([0, 1, 11, 12, 60, 1514, 9000, 65_562, 100_000]));
    for (const queue of [0, TRANSMIT]) write(transport, 0x050, queue);
    loop.turn(0);
  }
  expect(wire?.unsound).toEqual([]);
  expect([wire?.leaks, isIntact(), before.hasGrown()]).toEqual([0, true, false]);
  expect(wire?.longest).toBeLessThanOrEqual(LONGEST);
  // A fuzzer of which nothing gets through tests nothing.
  expect(wire?.received).toBeGreaterThan(ROUNDS / 10);
  expect(wire?.segmented).toBeGreaterThan(10);
  expect(broken).toBeGreaterThan(0);
});
