// virtio-fs by a gofer in another process: a hostile guest, a gofer that was taken over, a VMM that was taken over. None of them may make another
// throw what is not meant to, keep more than its bounds, or wait for ever.
import { expect, test } from "vitest";
import { IN_HEADER } from "../../../gofer/fuse/abi.ts";
import { Session } from "../../../gofer/fuse/session.ts";
import { FuseSocket } from "../../../gofer/fuse/socket.ts";
import { BUFFER_SIZE } from "../../../gofer/fuse/transport.ts";
import { directory, file, SyntheticFileSystem } from "../../../gofer/synthetic.ts";
import { ENODEV } from "../../../linux/abi/errno.ts";
import { POLLIN } from "../../../linux/abi/poll.ts";
import { setNonBlocking } from "../../../linux/fcntl.ts";
import type { Fd } from "../../../linux/fd.ts";
import { permanentBlock } from "../../../linux/memory.unsafe.ts";
import { socketPair } from "../../../linux/socket.ts";
import { tryReadInto, tryWriteFrom } from "../../../vmm/devices/host-io.ts";
import { RemoteFs } from "../../../vmm/devices/remote-fs.ts";
import type { Loop } from "../../../vmm/threads/loop.ts";
import { STATUS } from "../../../vmm/virtio/transport.ts";
import { bringUp, fillQueue, Random, setUp, write } from "./hostile-guest.ts";

const SOCK_STREAM = 1;
const ROUNDS = 1500;
const SIZE = 16;
const MESSAGE_LIMIT = (1 << 20) + 4096;

/** @param socket the VMM's end. */
function attached(socket: Fd): RemoteFs {
  const device = new RemoteFs("tag");
  device.attach(socket.release());
  return device;
}

function pair(): readonly [Fd, Fd] {
  const ends = socketPair(SOCK_STREAM);
  for (const end of ends) setNonBlocking(end);
  return ends;
}

/** A driver that starts again whenever the device has had enough of it. @returns how often it had. */
function drive(random: Random, { transport, memory, loop }: ReturnType<typeof setUp>, each: (round: number) => void): number {
  let broken = 0;
  for (let round = 0; round < ROUNDS; round++) {
    if (round === 0 || (transport.read(0x070, 4)[0] & STATUS.needsReset) !== 0) {
      broken += round === 0 ? 0 : 1;
      bringUp(transport, memory, SIZE);
    }
    for (const queue of transport.device.queueSizes.keys()) fillQueue(random, memory, queue, SIZE);
    if (random.below(2) === 0) makeFuse(random, memory);
    for (const queue of transport.device.queueSizes.keys()) write(transport, 0x050, queue);
    each(round);
    loop.turn(0);
  }
  return broken;
}

/** Lengths that are right, so that requests get as far as the gofer. */
function makeFuse(random: Random, memory: ReturnType<typeof setUp>["memory"]): void {
  const view = memory.view(0, 2 << 20);
  if (view === undefined) throw new Error("no memory");
  for (const queue of [0, 1]) {
    for (let head = 0; head < SIZE; head += 4) {
      const at = 0x10_000 * (queue + 1) + head * 16;
      for (const [i, length] of [40, random.below(64), random.below(4096)].entries()) view.setUint32(at + i * 16 + 8, length, true);
      const message = view.getUint32(at, true);
      if (message > (2 << 20) - 64) continue;
      view.setUint32(message, 40 + view.getUint32(at + 24, true), true);
      view.setUint32(message + 4, random.below(60), true);
    }
  }
}

/** Reads whole messages as the protocol has them, and answers some. */
class HonestGofer {
  received = 0;
  largest = 0;
  readonly #end: Fd;
  #pending = Buffer.alloc(0);

  constructor(end: Fd, loop: Loop) {
    this.#end = end;
    loop.watch(end.number, POLLIN, () => this.#read());
  }

  #read(): void {
    const buffer = Buffer.alloc(1 << 16);
    const size = tryReadInto(this.#end.number, [buffer]);
    if (typeof size !== "number") return;
    this.#pending = Buffer.concat([this.#pending, buffer.subarray(0, size)]);
    while (this.#pending.length >= 4 + IN_HEADER.size) {
      const length = this.#pending.readUInt32LE(4);
      // Each message has been checked before: its length is that of what follows.
      expect(length).toBeGreaterThanOrEqual(IN_HEADER.size);
      expect(length).toBeLessThanOrEqual(MESSAGE_LIMIT);
      if (this.#pending.length < 4 + length) return;
      this.#answer(this.#pending.subarray(4, 4 + length), this.#pending.readUInt32LE(0));
      this.#pending = this.#pending.subarray(4 + length);
    }
  }

  #answer(message: Buffer, capacity: number): void {
    this.received++;
    this.largest = Math.max(this.largest, capacity);
    const reply = Buffer.alloc(16);
    reply.writeUInt32LE(16);
    reply.writeInt32LE(-38, 4);
    message.copy(reply, 8, IN_HEADER.unique, IN_HEADER.unique + 8);
    if (this.received % 3 !== 0) tryWriteFrom(this.#end.number, [reply]);
  }
}

test("a hostile guest: what reaches the gofer keeps the protocol", () => {
  const random = new Random(0xfe5);
  const [ours, theirs] = pair();
  let gofer: HonestGofer | undefined;
  const set = setUp((_memory, loop) => {
    gofer = new HonestGofer(theirs, loop);
    return attached(ours);
  });
  const broken = drive(random, set, () => undefined);
  expect(broken).toBeGreaterThan(0);
  expect(broken).toBeLessThan(ROUNDS / 2);
  expect(gofer?.received).toBeGreaterThan(ROUNDS / 4);
  expect(gofer?.largest).toBeLessThanOrEqual(MESSAGE_LIMIT);
});

/** Replies with lengths and numbers at random: mostly possible ones. */
function reply(random: Random): Buffer {
  const isEvil = random.below(20) === 0;
  const length = random.pick([16, 17, 100, 4096]);
  const bytes = Buffer.alloc(length);
  bytes.writeUInt32LE(isEvil ? random.pick([0, 15, MESSAGE_LIMIT + 1, 0xffff_ffff, random.word()]) : length);
  bytes.writeUInt32LE(random.word(), 4);
  bytes.writeUInt32LE(random.below(10), 8);
  return bytes;
}

test("a gofer that was taken over is done with at its first broken reply, and another can take its place", () => {
  const random = new Random(0x60fe);
  let theirs: Fd;
  const device = new RemoteFs("tag");
  const attachNext = () => {
    const [ours, next] = pair();
    theirs = next;
    device.attach(ours.release());
  };
  attachNext();
  const set = setUp(() => device);
  const before = process.memoryUsage().rss;
  let lost = 0;
  drive(random, set, () => {
    const taken = Buffer.alloc(1 << 16);
    let size = tryReadInto(theirs.number, [taken]);
    while (typeof size === "number" && size > 0) size = tryReadInto(theirs.number, [taken]);
    if (size === "later") return void tryWriteFrom(theirs.number, [reply(random)]);
    theirs.close();
    lost++;
    // The reset is what tells the device that nothing of it is mounted.
    bringUp(set.transport, set.memory, SIZE);
    expect(device.free).toBe(true);
    attachNext();
  });
  expect(lost).toBeGreaterThan(ROUNDS / 50);
  expect(process.memoryUsage().rss - before).toBeLessThan(200 << 20);
});

test("a gofer that reads late, after resets too: the device waits, keeps no more than one request, and goes on", () => {
  const random = new Random(0x3a1);
  const [ours, theirs] = pair();
  const set = setUp(() => attached(ours));
  const before = process.memoryUsage().rss;
  drive(random, set, () => undefined);
  expect(process.memoryUsage().rss - before).toBeLessThan(100 << 20);
  bringUp(set.transport, set.memory, SIZE);
  const gofer = new HonestGofer(theirs, set.loop);
  drive(random, set, () => undefined);
  expect(gofer.received).toBeGreaterThan(ROUNDS);
});

test("a gofer that is gone: the device goes on, and answers", () => {
  const random = new Random(0x901e);
  const [ours, theirs] = pair();
  theirs.close();
  const device = attached(ours);
  const set = setUp(() => device);
  expect(drive(random, set, () => undefined)).toBeLessThan(ROUNDS / 2);
  bringUp(set.transport, set.memory, SIZE);
  expect(device.free).toBe(true);
});

/** A stream of what a VMM might send: whole requests, and now and then something else. */
function request(random: Random): Buffer {
  const isEvil = random.below(200) === 0;
  const body = random.pick([0, 1, 8, 16, 64, 4096]);
  const bytes = Buffer.alloc(4 + IN_HEADER.size + body);
  for (let i = 4; i < bytes.length; i++) bytes[i] = random.below(4) === 0 ? random.word() & 0xff : 0;
  bytes.writeUInt32LE(random.pick([0, 15, 16, 4096, MESSAGE_LIMIT, 0x7fff_ffff]));
  bytes.writeUInt32LE(isEvil ? random.pick([0, 39, BUFFER_SIZE + 1, 0xffff_ffff, random.word()]) : bytes.length - 4, 4);
  bytes.writeUInt32LE(random.below(60), 8);
  return bytes;
}

test("a VMM that was taken over: the gofer answers within the capacity, or ends the connection", () => {
  const random = new Random(0x7a4e);
  const [requestBlock, replyBlock] = [permanentBlock(BUFFER_SIZE), permanentBlock(BUFFER_SIZE)];
  let [ended, answered] = [0, 0];
  for (let connection = 0; connection < 40; connection++) {
    const [vmm, gofer] = pair();
    const transport = new FuseSocket(gofer);
    const session = new Session(new SyntheticFileSystem(directory({ a: file(() => "content"), b: directory({}) })), requestBlock, replyBlock);
    let isOver = false;
    for (let i = 0; i < 200 && !isOver; i++) {
      const bytes = request(random);
      // In pieces, as a stream may come.
      const cut = random.below(bytes.length);
      for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
        tryWriteFrom(vmm.number, [piece]);
        const length = transport.receive(requestBlock);
        isOver ||= length === -ENODEV;
        if (length <= 0) continue;
        const size = session.handle(length, transport.capacity);
        expect(size).toBeLessThanOrEqual(Math.max(transport.capacity, 16));
        if (size > 0) expect(transport.send(replyBlock, size)).toBe(0);
        answered++;
        const taken = Buffer.alloc(1 << 16);
        for (let left = tryReadInto(vmm.number, [taken]); typeof left === "number" && left > 0; ) left = tryReadInto(vmm.number, [taken]);
      }
    }
    ended += isOver ? 1 : 0;
    for (const end of [vmm, gofer]) end.close();
  }
  expect(ended).toBeGreaterThan(10);
  expect(answered).toBeGreaterThan(500);
});
