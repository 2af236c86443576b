// A file system device and its gofers, one after the other: this test plays the guest's driver and the gofers.
import { expect, test } from "vitest";
import { RESTORE, SAVE } from "../../../gofer/fuse/socket.ts";
import { setNonBlocking } from "../../../linux/fcntl.ts";
import type { Fd } from "../../../linux/fd.ts";
import { read, writeAll } from "../../../linux/file.ts";
import { socketPair } from "../../../linux/socket.ts";
import { RemoteFs } from "../../../vmm/devices/remote-fs.ts";
import { createGuestMemory, type GuestMemory } from "../../../vmm/memory.ts";
import { Loop } from "../../../vmm/threads/loop.ts";
import { SplitQueue } from "../../../vmm/virtio/queue.ts";
import { decodeState, encodeState } from "../../../vmm/snapshot/file.ts";
import { Driver, ringAddresses } from "./rings.ts";

const SOCK_STREAM = 1;
const REQUEST = 0x10_0000;
const REPLY = 0x10_1000;
const OP = { getattr: 3, init: 26, destroy: 38 };
const ENOTCONN = 107;

class Guest {
  readonly loop = new Loop();
  readonly device = new RemoteFs("place-0");
  readonly #memory: GuestMemory = createGuestMemory(4 << 20);
  readonly #driver: Driver;
  #unique = 0;

  constructor() {
    const addresses = ringAddresses(16);
    this.#driver = new Driver(this.#memory, addresses);
    const queue = new SplitQueue(this.#memory, addresses, { eventIndex: false, indirect: false });
    this.device.start({
      memory: this.#memory, loop: this.loop, driverFeatures: 0, queue: (index) => (index === 1 ? queue : undefined),
      signalUsed: () => undefined, signalConfig: () => undefined, fail: (error) => { throw error; },
    });
  }

  attachGofer(): Fd {
    const [vmm, gofer] = socketPair(SOCK_STREAM);
    setNonBlocking(vmm);
    this.device.attach(vmm.release());
    return gofer;
  }

  ask(opcode: number): number {
    const message = Buffer.alloc(40);
    message.writeUInt32LE(message.length, 0);
    message.writeUInt32LE(opcode, 4);
    message.writeUInt32LE(++this.#unique, 8);
    this.#driver.put(REQUEST, message);
    this.#driver.offer(0, [{ address: REQUEST, length: message.length }, { address: REPLY, length: 256, write: true }]);
    this.device.notified(1);
    return this.#unique;
  }

  /** The error of the last reply, and how many there were. */
  get answers(): { readonly count: number; readonly errno: number; readonly unique: number } {
    this.loop.turn(0);
    const reply = Buffer.from(this.#driver.text(REPLY, 16), "latin1");
    return { count: this.#driver.usedIndex, errno: Math.abs(reply.readInt32LE(4)), unique: reply.readUInt32LE(8) };
  }
}

function answer(gofer: Fd, length = 16): void {
  const request = Buffer.from(read(gofer, 44));
  expect([request.length, request.readUInt32LE(0)]).toEqual([44, 256]);
  const reply = Buffer.alloc(16);
  reply.writeUInt32LE(length, 0);
  request.copy(reply, 8, 12, 20);
  writeAll(gofer, reply);
}

test("without a gofer every request is answered, with an error", () => {
  const guest = new Guest();
  const unique = guest.ask(OP.init);
  expect(guest.answers).toEqual({ count: 1, errno: ENOTCONN, unique });
});

test("a gofer that ends while it is asked leaves no request without an answer, and the device to another one when the guest has unmounted", () => {
  const guest = new Guest();
  expect(guest.device.free).toBe(true);
  {
    using gofer = guest.attachGofer();
    expect(guest.device.free).toBe(false);
    guest.ask(OP.init);
    answer(gofer);
    expect(guest.answers).toMatchObject({ count: 1, errno: 0 });
    guest.ask(OP.getattr);
    expect(guest.answers.count).toBe(1);
  }
  expect(guest.answers).toMatchObject({ count: 2, errno: ENOTCONN });
  expect(guest.device.free).toBe(false);
  guest.ask(OP.destroy);
  expect(guest.answers.count).toBe(3);
  expect(guest.device.free).toBe(true);
  using gofer = guest.attachGofer();
  const unique = guest.ask(OP.init);
  answer(gofer);
  expect(guest.answers).toEqual({ count: 4, errno: 0, unique });
});

test("a gofer that ends before the guest has mounted leaves the device free", () => {
  const guest = new Guest();
  guest.attachGofer().close();
  guest.loop.turn(0);
  expect(guest.device.free).toBe(true);
});

test("a gofer that breaks the protocol is done with", () => {
  const guest = new Guest();
  using gofer = guest.attachGofer();
  guest.ask(OP.init);
  answer(gofer, 15);
  expect(guest.answers).toMatchObject({ count: 1, errno: ENOTCONN });
});

/** What a gofer says to SAVE. */
function stateReply(state: string, errno = 0): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + state.length);
  header.writeInt32LE(-errno, 4);
  return Buffer.concat([header, Buffer.from(state)]);
}

test("what a gofer knows is saved behind the replies that were under way, and given to the next one", () => {
  const guest = new Guest();
  using gofer = guest.attachGofer();
  guest.ask(OP.init);
  const request = Buffer.from(read(gofer, 44));
  const reply = Buffer.alloc(16);
  reply.writeUInt32LE(16);
  request.copy(reply, 8, 12, 20);
  writeAll(gofer, Buffer.concat([reply, stateReply("known")]));
  const state = decodeState(encodeState(guest.device.save()));
  expect(guest.answers).toMatchObject({ count: 1, errno: 0 });
  expect(Buffer.from(read(gofer, 4)).readUInt32LE()).toBe(SAVE);
  const clone = new Guest();
  using next = clone.attachGofer();
  clone.device.restore(state);
  const told = Buffer.from(read(next, 100));
  expect([told.readUInt32LE(0), told.readUInt32LE(4), told.toString("latin1", 8)]).toEqual([RESTORE, 5, "known"]);
  next.close();
  expect(clone.answers.count).toBe(0);
  expect(clone.device.free).toBe(false);
});

test("nothing is saved while a request has no answer, or the gofer cannot", () => {
  const guest = new Guest();
  using gofer = guest.attachGofer();
  writeAll(gofer, stateReply("", 16));
  expect(() => guest.device.save()).toThrow("waits for a file lock");
  guest.ask(OP.getattr);
  writeAll(gofer, stateReply("known"));
  expect(() => guest.device.save()).toThrow("waits for a file lock");
});
