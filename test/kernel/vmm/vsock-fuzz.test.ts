// A hostile guest's sockets: packets that are nearly right, to ports where somebody of the host's listens who reads late, closes early, or sends what
// nobody has asked for. What the device keeps is bounded, and what it has opened is closed.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { POLLIN } from "../../../linux/abi/poll.ts";
import { setNonBlocking } from "../../../linux/fcntl.ts";
import type { Fd } from "../../../linux/fd.ts";
import { connectUnix, listenUnix, tryAccept } from "../../../linux/socket.ts";
import { tryReadInto, tryWriteFrom } from "../../../vmm/devices/host-io.ts";
import { encodeHeader, HEADER_SIZE, HOST_CID } from "../../../vmm/devices/vsock/packet.ts";
import { Vsock } from "../../../vmm/devices/vsock/vsock.ts";
import type { GuestMemory } from "../../../vmm/memory.ts";
import type { Loop, Watch } from "../../../vmm/threads/loop.ts";
import { STATUS } from "../../../vmm/virtio/transport.ts";
import { bringUp, fillQueue, holdings, hostileNumber, LEAK, MEMORY, Random, setUp, write } from "./hostile-guest.ts";
import { ringAddresses } from "./rings.ts";

const folder = mkdtempSync(join(tmpdir(), "tssandbox-vsock-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ROUNDS = 4000;
const SIZE = 16;
const CID = 3;
const HOST_PORTS = [5, 6];
const GUEST_PORTS = [1000, 1001, 1002];
const TRANSMIT = 1;

/** Whoever is at the other end, as unreliable as the guest. */
class Host {
  readonly path: string;
  accepted = 0;
  bytes = 0;
  leaks = 0;
  readonly #random: Random;
  readonly #listeners: Fd[] = [];
  readonly #watches: Watch[] = [];
  #peers: Fd[] = [];
  readonly #buffer = Buffer.alloc(1 << 16);

  constructor(random: Random, loop: Loop) {
    this.#random = random;
    this.path = join(folder, "vsock");
    for (const port of HOST_PORTS) this.#listen(port, loop);
  }

  #listen(port: number, loop: Loop): void {
    const listener = listenUnix(`${this.path}_${port}`);
    setNonBlocking(listener);
    this.#listeners.push(listener);
    const watch = loop.watch(listener.number, POLLIN, () => {
      const peer = tryAccept(listener);
      if (peer === undefined) return;
      this.accepted++;
      this.#keep(peer);
    });
    this.#watches.push(watch);
  }

  #keep(peer: Fd): void {
    setNonBlocking(peer);
    this.#peers.push(peer);
  }

  act(): void {
    if (this.#random.below(40) === 0) this.#greet();
    for (const peer of this.#peers) {
      switch (this.#random.below(30)) {
        case 0:
        case 1: this.#read(peer); break;
        case 2: tryWriteFrom(peer.number, [Buffer.alloc(this.#random.pick([1, 100, 70_000]), 0x5a)]); break;
        case 3: this.#drop(peer); break;
        default:
      }
    }
  }

  #greet(): void {
    const client = connectUnix(this.path);
    tryWriteFrom(client.number, [Buffer.from(this.#random.pick(["CONNECT 1000\n", "CONNECT 1001\nand more", "CONNECT", "GET / HTTP/1.0\r\n"]))]);
    this.#keep(client);
  }

  #read(peer: Fd): void {
    const size = tryReadInto(peer.number, [this.#buffer]);
    if (typeof size !== "number") return;
    this.bytes += size;
    if (this.#buffer.subarray(0, size).includes(LEAK)) this.leaks++;
  }

  #drop(peer: Fd): void {
    peer.close();
    this.#peers = this.#peers.filter((other) => other !== peer);
  }

  end(): void {
    for (const watch of this.#watches) watch.stop();
    for (const fd of [...this.#peers, ...this.#listeners]) fd.close();
    this.#peers = [];
  }
}

/** The chains of the transmit queue: a header and data, each as long as a header says, or nearly. */
function makePackets(random: Random, memory: GuestMemory): void {
  const view = memory.view(0, MEMORY);
  if (view === undefined) throw new Error("no memory");
  const { descriptors } = ringAddresses(SIZE, 0x10_000 * (TRANSMIT + 1));
  for (let head = 0; head < SIZE; head += 4) {
    const at = descriptors + head * 16;
    const length = random.pick([0, 1, 1, 1, 100, 4096, 60_000]);
    for (const [i, size] of [HEADER_SIZE, length].entries()) {
      view.setUint32(at + i * 16 + 8, size, true);
      view.setUint16(at + i * 16 + 12, i === 0 ? 1 : 0, true);
    }
    const address = view.getUint32(at, true);
    if (address > MEMORY - HEADER_SIZE) continue;
    const isOdd = random.below(20) === 0;
    memory.write(address, encodeHeader({
      sourceCid: isOdd ? random.below(5) : CID, destinationCid: isOdd ? random.below(5) : HOST_CID, sourcePort: random.pick(GUEST_PORTS),
      destinationPort: random.below(4) === 0 ? (1 << 30) + random.below(40) : random.pick(HOST_PORTS), length: isOdd ? hostileNumber(random) : length, type: isOdd ? random.below(3) : 1,
      op: random.pick([1, 2, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6, 7, random.below(9), random.pick([3, 4])]), flags: random.below(4), bufferSize: random.pick([0, 1, 65_536, 0xffff_ffff]), forwarded: random.pick([0, random.word()]),
    }));
  }
}

test("what the device keeps is bounded, and none of it is of others", () => {
  const random = new Random(0x50c);
  let host: Host | undefined;
  const before = holdings();
  const { transport, memory, loop, isIntact } = setUp((_memory, events) => {
    host = new Host(random, events);
    return new Vsock({ cid: CID, path: host.path, listener: listenUnix(host.path) });
  });
  let broken = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const isFirst = round === 0;
    if (isFirst || random.below(400) === 0 || (transport.read(0x070, 4)[0] & STATUS.needsReset) !== 0) {
      broken += isFirst ? 0 : 1;
      bringUp(transport, memory, SIZE);
    }
    for (const queue of transport.device.queueSizes.keys()) fillQueue(random, memory, queue, SIZE);
    if (random.below(8) > 0) makePackets(random, memory);
    for (const queue of transport.device.queueSizes.keys()) if (random.below(4) > 0) write(transport, 0x050, queue);
    host?.act();
    loop.turn(0);
  }
  write(transport, 0x070, 0);
  host?.end();
  // Those that had not said what they want.
  for (let i = 0; i < 50; i++) loop.turn(0);
  expect([host?.leaks, isIntact(), before.hasGrown()]).toEqual([0, true, false]);
  expect(loop.waiting).toBeLessThan(16);
  expect(host?.accepted).toBeGreaterThan(20);
  expect(host?.bytes).toBeGreaterThan(10_000);
  expect(broken).toBeGreaterThan(0);
});
