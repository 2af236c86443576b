// A guest that asks for the same again and again: what the device thread keeps for it does not grow, and others have their turn.
import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { POLLIN, POLLOUT } from "../../../linux/abi/poll.ts";
import { setNonBlocking } from "../../../linux/fcntl.ts";
import { socketPair } from "../../../linux/socket.ts";
import { Block } from "../../../vmm/devices/block.ts";
import { tryReadInto, tryWriteFrom } from "../../../vmm/devices/host-io.ts";
import { Net } from "../../../vmm/devices/net.ts";
import { Backlog } from "../../../vmm/devices/vsock/backlog.ts";
import { Loop } from "../../../vmm/threads/loop.ts";
import { serve, type DeviceHost, type VirtioDevice } from "../../../vmm/virtio/device.ts";
import { bringUp, setUp, write } from "./hostile-guest.ts";
import { Driver, ringAddresses } from "./rings.ts";

const folder = mkdtempSync(join(tmpdir(), "tssandbox-vmm-bounds-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SIZE = 16;
const DATA = 0x10_0000;
const NOTIFY = 0x050;

/** A device with an ordinary driver. */
function start(device: VirtioDevice | ((loop: Loop) => VirtioDevice)) {
  const set = setUp((_memory, loop) => (typeof device === "function" ? device(loop) : device));
  bringUp(set.transport, set.memory, SIZE);
  const drivers = set.transport.device.queueSizes.map((_, queue) => new Driver(set.memory, ringAddresses(SIZE, 0x10_000 * (queue + 1))));
  const driver = (queue: number): Driver => {
    const found = drivers[queue];
    if (found === undefined) throw new Error(`no queue ${queue}`);
    return found;
  };
  set.loop.turn(0);
  return { ...set, driver, notify: (queue: number) => write(set.transport, NOTIFY, queue) };
}

test("a disk that is over its limit has one timer, however often it is notified", () => {
  const path = join(folder, "disk");
  writeFileSync(path, Buffer.alloc(4096));
  const { driver, notify, loop } = start(new Block({ fd: openSync(path, "r"), readOnly: true, operationsPerSecond: 1 }));
  for (let i = 0; i < SIZE; i++) {
    driver(0).offer(0, [{ address: DATA, length: 16 }, { address: DATA + 16, length: 1, write: true }]);
    notify(0);
  }
  for (let i = 0; i < 500; i++) notify(0);
  expect(loop.waiting).toBe(1);
  expect(driver(0).usedIndex).toBeLessThan(4);
});

/** A card and what its tap is connected with. */
function card(bytesPerSecond: number) {
  const [tap, wire] = socketPair(2);
  for (const end of [tap, wire]) setNonBlocking(end);
  const it = start(new Net({ tap: tap.number, setOffload: () => undefined, mac: new Uint8Array(6), bytesPerSecond }));
  return { ...it, wire, tap };
}

test("a network card that is over its limit: one timer, nothing sent, and nothing received for a guest that offers buffers again and again", () => {
  const { driver, notify, loop, wire, tap } = card(2000);
  const [RECEIVE, TRANSMIT] = [0, 1];
  for (let i = 0; i < 8; i++) {
    driver(TRANSMIT).offer(0, [{ address: DATA, length: 1500 }]);
    notify(TRANSMIT);
  }
  for (let i = 0; i < 500; i++) notify(TRANSMIT);
  expect(loop.waiting).toBe(1);
  let sent = 0;
  while (typeof tryReadInto(wire.number, [Buffer.alloc(2000)]) === "number") sent++;
  expect(sent).toBeLessThan(4);
  for (let i = 0; i < 8; i++) tryWriteFrom(wire.number, [Buffer.alloc(1500)]);
  for (let i = 0; i < 8; i++) {
    driver(RECEIVE).offer(0, [{ address: DATA, length: 2000, write: true }]);
    notify(RECEIVE);
    loop.turn(0);
  }
  expect(driver(RECEIVE).usedIndex).toBeLessThan(4);
  expect(loop.waiting).toBeLessThan(4);
  void tap;
});

test("a packet goes to the wire and comes back", () => {
  const { driver, notify, loop, wire } = card(1 << 20);
  driver(1).put(DATA, Buffer.concat([Buffer.alloc(12), Buffer.from("a frame of the guest's")]));
  driver(1).offer(0, [{ address: DATA, length: 12 }, { address: DATA + 12, length: 22 }]);
  notify(1);
  const packet = Buffer.alloc(100);
  expect([tryReadInto(wire.number, [packet]), packet.toString("latin1", 12, 34)]).toEqual([34, "a frame of the guest's"]);
  driver(0).offer(0, [{ address: DATA + 0x1000, length: 2000, write: true }]);
  notify(0);
  tryWriteFrom(wire.number, [Buffer.concat([Buffer.alloc(12), Buffer.from("a frame of the host's")])]);
  loop.turn(5);
  expect([driver(0).usedIndex, driver(0).used(0).written, driver(0).text(DATA + 0x1000 + 12, 21)]).toEqual([1, 33, "a frame of the host's"]);
});

test("a guest that fills its queue as it is emptied has one turn at a time", () => {
  let handled = 0;
  const guest: { queue?: Driver } = {};
  let host: DeviceHost | undefined;
  const device: VirtioDevice = {
    id: 99, name: "test", queueSizes: [SIZE], features: 0, config: new Uint8Array(),
    start: (its) => { host = its; }, reset: () => undefined,
    notified: (queue) => {
      if (host === undefined) return;
      serve(host, queue, () => {
        handled++;
        guest.queue?.offer(0, [{ address: DATA, length: 1 }]);
        return 0;
      });
    },
  };
  const { driver, notify, loop } = start(device);
  guest.queue = driver(0);
  guest.queue.offer(0, [{ address: DATA, length: 1 }]);
  const turns: number[] = [];
  for (let turn = 0; turn < 20; turn++) {
    const before = handled;
    notify(0);
    loop.turn(0);
    turns.push(handled - before);
  }
  expect(Math.max(...turns)).toBeLessThanOrEqual(2 * SIZE);
  expect(loop.waiting).toBe(1);
});

test("a watch that was stopped has no say in what has its place now", () => {
  const loop = new Loop();
  const [[one], [two, peer]] = [socketPair(), socketPair()];
  const first = loop.watch(one.number, POLLIN, () => undefined);
  first.stop();
  let woken = 0;
  loop.watch(two.number, POLLIN, () => { woken++; });
  first.setEvents(POLLOUT);
  first.setEvents(0);
  peer.close();
  loop.turn(0);
  expect(woken).toBe(1);
});

test("a backlog keeps its order, its limit, and one block", () => {
  const backlog = new Backlog(100);
  for (let i = 0; i < 100; i++) backlog.add(Uint8Array.of(i));
  expect([backlog.size, backlog.room]).toEqual([100, 0]);
  backlog.drop(60);
  backlog.add(Uint8Array.of(200, 201));
  expect([...backlog.content]).toEqual([...Array.from({ length: 40 }, (_, i) => 60 + i), 200, 201]);
  expect([backlog.room, backlog.content.buffer.byteLength]).toEqual([58, 100]);
  backlog.drop(42);
  expect([backlog.size, backlog.room, backlog.content.length]).toEqual([0, 100, 0]);
});
