// Each device by its registers or its queue, with requests as the specification has them.
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { listenUnix } from "../../../linux/socket.ts";
import { Balloon } from "../../../vmm/devices/balloon.ts";
import { Block } from "../../../vmm/devices/block.ts";
import { Console } from "../../../vmm/devices/console.ts";
import { PortBus } from "../../../vmm/devices/ports.ts";
import { Mem } from "../../../vmm/devices/mem.ts";
import { RateLimit } from "../../../vmm/devices/rate-limit.ts";
import { Rtc } from "../../../vmm/devices/rtc.ts";
import { Serial, SERIAL_WORDS } from "../../../vmm/devices/serial.ts";
import { Vsock } from "../../../vmm/devices/vsock/vsock.ts";
import { decodeHeader, encodeHeader, HEADER_SIZE, OP, type Header } from "../../../vmm/devices/vsock/packet.ts";
import { createGuestMemory, restoreGuestMemory } from "../../../vmm/memory.ts";
import { readSnapshot, writeSnapshot } from "../../../vmm/snapshot/file.ts";
import { Loop } from "../../../vmm/threads/loop.ts";
import type { VirtioDevice } from "../../../vmm/virtio/device.ts";
import { INTERRUPT_STATUS_WORDS, InterruptStatus } from "../../../vmm/virtio/interrupt-status.ts";
import { MmioTransport, STATUS } from "../../../vmm/virtio/transport.ts";
import { Driver, ringAddresses, type Descriptor } from "./rings.ts";

const folder = mkdtempSync(join(tmpdir(), "tssandbox-vmm-devices-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const DATA = 0x10_0000;
const SIZE = 16;
const ALL_STATUS = STATUS.acknowledge | STATUS.driver | STATUS.featuresOk;

function write(transport: MmioTransport, register: number, value: number): void {
  transport.write(register, 4, value >>> 0, 0);
}

/** A device behind its transport, set up by a driver that takes `features` of the low word. */
function attach(device: VirtioDevice, features = 0) {
  const memory = createGuestMemory(4 << 20);
  const loop = new Loop();
  const interrupts = new InterruptStatus(new Int32Array(new SharedArrayBuffer(INTERRUPT_STATUS_WORDS * 4)));
  let raised = 0;
  const transport = new MmioTransport({ device, memory, loop, interrupts, window: 0, raise: () => { raised++; } });
  write(transport, 0x070, STATUS.acknowledge | STATUS.driver);
  write(transport, 0x020, features);
  write(transport, 0x024, 1);
  write(transport, 0x020, 1);
  write(transport, 0x070, ALL_STATUS);
  const drivers = device.queueSizes.map((_, queue) => {
    const addresses = ringAddresses(SIZE, 0x1_0000 * (queue + 1));
    write(transport, 0x030, queue);
    write(transport, 0x038, SIZE);
    write(transport, 0x080, addresses.descriptors);
    write(transport, 0x090, addresses.driver);
    write(transport, 0x0a0, addresses.device);
    write(transport, 0x044, 1);
    return new Driver(memory, addresses);
  });
  write(transport, 0x070, ALL_STATUS | STATUS.driverOk);
  const driver = (queue: number) => {
    const found = drivers[queue];
    if (found === undefined) throw new Error(`no queue ${queue}`);
    return found;
  };
  /** Offers a chain, notifies, and gives what came back. */
  const request = (queue: number, descriptors: readonly Descriptor[]) => {
    const before = driver(queue).usedIndex;
    driver(queue).offer(0, descriptors);
    transport.notify(queue);
    return driver(queue).usedIndex === before ? undefined : driver(queue).used(before);
  };
  return { transport, memory, loop, driver, request, raised: () => raised, interrupts };
}

/** A disk of size 0. */
const device = () => new Block({ fd: openSync("/dev/null", "r"), readOnly: true });

const bare = () => {
  const memory = createGuestMemory(2 << 20);
  const interrupts = new InterruptStatus(new Int32Array(new SharedArrayBuffer(INTERRUPT_STATUS_WORDS * 4)));
  return new MmioTransport({ device: device(), memory, loop: new Loop(), interrupts, window: 0, raise: () => undefined });
};

describe("transport", () => {
  test.for([
    ["a driver without version 1", [[0x024, 0], [0x020, 0]]],
    ["a driver that takes what is not offered", [[0x024, 0], [0x020, 1 << 15], [0x024, 1], [0x020, 1]]],
    ["a driver that takes an unknown bit of the second word", [[0x024, 1], [0x020, 3]]],
  ] as const)("%s does not get FEATURES_OK", ([, writes]) => {
    const transport = bare();
    write(transport, 0x070, 3);
    for (const [register, value] of writes) write(transport, register, value);
    write(transport, 0x070, ALL_STATUS);
    expect(transport.read(0x070, 4)[0]).toBe(3);
    write(transport, 0x070, ALL_STATUS | STATUS.driverOk);
    expect(transport.read(0x070, 4)[0] & STATUS.driverOk).toBe(0);
  });

  test("features cannot change after FEATURES_OK, a ready queue cannot be moved", () => {
    const { transport } = attach(device());
    write(transport, 0x024, 0);
    write(transport, 0x020, 1 << 28);
    expect(transport.driverFeatures).toBe(0);
    const queue = transport.queue(0);
    write(transport, 0x080, 0x5000);
    expect(transport.queue(0)).toBe(queue);
    expect(transport.read(0x044, 4)[0]).toBe(1);
  });

  test("a queue outside of memory does not become ready", () => {
    const transport = bare();
    write(transport, 0x070, 3);
    write(transport, 0x024, 1);
    write(transport, 0x020, 1);
    write(transport, 0x070, ALL_STATUS);
    write(transport, 0x038, 8);
    write(transport, 0x084, 7);
    write(transport, 0x044, 1);
    expect(transport.read(0x044, 4)[0]).toBe(0);
  });

  test("a broken ring asks for a reset, by interrupt, and stops until then", () => {
    const { transport, driver, interrupts, request } = attach(device());
    driver(0).makeAvailable(999);
    transport.notify(0);
    expect(transport.read(0x070, 4)[0] & STATUS.needsReset).toBe(STATUS.needsReset);
    expect(interrupts.get(0)).toBe(2);
    expect(request(0, [{ address: DATA, length: 16 }, { address: DATA + 16, length: 1, write: true }])).toBeUndefined();
    write(transport, 0x070, 0);
    expect([transport.read(0x070, 4)[0], transport.read(0x044, 4)[0], interrupts.get(0)]).toEqual([0, 0, 0]);
  });
});

const disk = (content: string, options: object = {}) => {
  const path = join(folder, "disk");
  writeFileSync(path, Buffer.alloc(8 * 512, content));
  return { path, ...attach(new Block({ fd: openSync(path, "r+"), readOnly: false, serial: "serial", ...options })) };
};

/** struct virtio_blk_req, up to the data. */
const header = (type: number, sector: number) => {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32LE(type, 0);
  bytes.writeBigUInt64LE(BigInt(sector), 8);
  return bytes;
};

describe("block", () => {
  const STATUS_BYTE = DATA + 0x8000;
  const ask = (it: ReturnType<typeof disk>, type: number, sector: number, data: readonly Descriptor[]) => {
    it.driver(0).put(DATA, header(type, sector));
    it.driver(0).put(STATUS_BYTE, "\xff");
    const used = it.request(0, [{ address: DATA, length: 16 }, ...data, { address: STATUS_BYTE, length: 1, write: true }]);
    return { written: used?.written, status: it.driver(0).text(STATUS_BYTE, 1).charCodeAt(0) };
  };

  test("reads into several buffers", () => {
    const it = disk("abcd");
    const parts = [{ address: DATA + 0x1000, length: 100, write: true }, { address: DATA + 0x2000, length: 412, write: true }];
    expect(ask(it, 0, 1, parts)).toEqual({ written: 513, status: 0 });
    expect(it.driver(0).text(DATA + 0x1000, 4) + it.driver(0).text(DATA + 0x2000 + 408, 4)).toBe("abcdabcd");
  });

  test("a header that is cut in two is one all the same", () => {
    const it = disk("x");
    it.driver(0).put(DATA, header(0, 0));
    const used = it.request(0, [{ address: DATA, length: 5 }, { address: DATA + 5, length: 11 }, { address: DATA + 0x1000, length: 513, write: true }]);
    expect([used?.written, it.driver(0).text(DATA + 0x1000 + 512, 1)]).toEqual([513, "\0"]);
  });

  test("writes", () => {
    const it = disk("x");
    it.driver(0).put(DATA + 0x1000, "y".repeat(512));
    expect(ask(it, 1, 3, [{ address: DATA + 0x1000, length: 512 }])).toEqual({ written: 1, status: 0 });
    expect(readFileSync(it.path).indexOf("y")).toBe(3 * 512);
    expect(ask(it, 4, 0, [])).toEqual({ written: 1, status: 0 });
  });

  test("a write over the end does not make the file longer", () => {
    const it = disk("x");
    expect(ask(it, 1, 7, [{ address: DATA + 0x1000, length: 1024 }]).status).toBe(1);
    expect(readFileSync(it.path)).toHaveLength(8 * 512);
  });

  test("tells its serial number", () => {
    const it = disk("x");
    expect(ask(it, 8, 0, [{ address: DATA + 0x1000, length: 20, write: true }])).toEqual({ written: 21, status: 0 });
    expect(it.driver(0).text(DATA + 0x1000, 7)).toBe("serial\0");
  });

  test.for([
    ["a read behind the end", 0, 8, 512, 1],
    ["a read over the end", 0, 7, 1024, 1],
    ["a sector number near 2^64", 0, 2 ** 53, 512, 1],
    ["half a sector", 0, 0, 100, 1],
    ["an unknown request", 99, 0, 512, 2],
  ] as const)("%s is refused", ([, type, sector, length, status]) => {
    expect(ask(disk("x"), type, sector, [{ address: DATA + 0x1000, length, write: true }]).status).toBe(status);
  });

  test("a read-only disk offers no writing, and does none", () => {
    const it = disk("x", { readOnly: true });
    expect(it.transport.device.features & (1 << 5)).not.toBe(0);
    expect(ask(it, 1, 0, [{ address: DATA + 0x1000, length: 512 }]).status).toBe(1);
    expect(readFileSync(it.path, "latin1")[0]).toBe("x");
  });

  test("a request over the limit waits, and is done later", () => {
    const it = disk("x", { operationsPerSecond: 3 });
    const statuses: number[] = [];
    while (statuses.at(-1) !== 255 && statuses.length < 10) statuses.push(ask(it, 4, 0, []).status);
    expect(statuses.length).toBeGreaterThan(3);
    expect(statuses.at(-1)).toBe(255);
    for (let i = 0; i < 50 && it.driver(0).usedIndex < statuses.length; i++) it.loop.turn(20);
    expect(it.driver(0).text(STATUS_BYTE, 1)).toBe("\0");
  });
});

test("a rate limit: a burst, then the average", () => {
  let now = 0;
  const limit = new RateLimit(100, 50, () => now);
  const delays: number[] = [];
  const take = (amount: number) => {
    delays.push(limit.delay);
    if (limit.delay === 0) limit.take(amount);
  };
  take(60);
  take(1);
  now = 100;
  take(1);
  now = 110;
  take(1);
  now = 100_000;
  take(50);
  take(1);
  // 10 are owed after the burst, which is 100 ms; after a long time there is a burst again, and no more.
  expect(delays).toEqual([0, 100, 1, 0, 0, 1]);
});

describe("console", () => {
  test("carries both directions", () => {
    const [input, output] = [join(folder, "in"), join(folder, "out")];
    writeFileSync(input, "typed");
    writeFileSync(output, "");
    const it = attach(new Console({ input: openSync(input, "r"), output: openSync(output, "a") }));
    it.driver(1).put(DATA, "printed");
    expect(it.request(1, [{ address: DATA, length: 3 }, { address: DATA + 3, length: 4 }])?.written).toBe(0);
    expect(readFileSync(output, "utf8")).toBe("printed");
    it.driver(0).offer(0, [{ address: DATA, length: 100, write: true }]);
    it.transport.notify(0);
    it.loop.turn(100);
    expect([it.driver(0).used(0).written, it.driver(0).text(DATA, 5)]).toEqual([5, "typed"]);
  });
});

describe("balloon", () => {
  test("gives back the pages that are named, and reported", () => {
    const discarded: [number, number][] = [];
    const balloon = new Balloon((address, size) => discarded.push([address, size]));
    const it = attach(balloon);
    it.driver(0).put(DATA, Uint8Array.of(5, 0, 0, 0, 9, 0, 0, 0));
    it.request(0, [{ address: DATA, length: 8 }]);
    it.request(2, [{ address: 0x20_0000, length: 0x10_0000, write: true }]);
    expect(discarded).toEqual([[5 * 4096, 4096], [9 * 4096, 4096], [0x20_0000, 0x10_0000]]);
  });

  test("memory that is given back reads as zeroes; what is not memory is left alone", () => {
    const memory = createGuestMemory(4 << 20);
    memory.write(0x1000, Uint8Array.of(1));
    memory.write(0x2000, Uint8Array.of(2));
    memory.discard(0x1000, 4096);
    memory.discard(2 ** 40, 4096);
    expect([memory.slice(0x1000, 1)?.[0], memory.slice(0x2000, 1)?.[0]]).toEqual([0, 2]);
  });
});

const BLOCK = 2 << 20;
const START = 2 ** 32;

/** A driver of the device that gives memory. */
function growing() {
  const discarded: [number, number][] = [];
  const memory = createGuestMemory(4 << 20, { growth: 128 << 20 });
  if (memory.growth === undefined) throw new Error("no room");
  const mem = new Mem(memory.growth, (address, size) => discarded.push([address, size]));
  const { driver, request, raised } = attach(mem);
  /** The answer's type and state. */
  const ask = (type: number, address = 0, count = 0, length = 24) => {
    const content = Buffer.alloc(24);
    content.writeUInt16LE(type, 0);
    content.writeBigUInt64LE(BigInt(address), 8);
    content.writeUInt16LE(count, 16);
    driver(0).put(DATA, content);
    const used = request(0, [{ address: DATA, length }, { address: DATA + 64, length: 10, write: true }]);
    const answer = Buffer.from(driver(0).text(DATA + 64, 10), "latin1");
    expect(used?.written).toBe(10);
    return [answer.readUInt16LE(0), answer.readUInt16LE(8)];
  };
  const field = (offset: number) => Number(new DataView(mem.config.buffer).getBigUint64(offset, true));
  return { mem, memory, discarded, ask, field, raised };
}

describe("mem", () => {
  const REQUEST = { plug: 0, unplug: 1, unplugAll: 2, state: 3 } as const;
  const [ACK, NACK, ERROR] = [0, 1, 3];

  test("its configuration tells block size, region and what the guest is to have", () => {
    const { mem, field, raised } = growing();
    mem.request(3 * BLOCK - 1);
    expect([0, 16, 24, 32, 40, 48].map(field)).toEqual([BLOCK, START, 128 << 20, 128 << 20, 0, 3 * BLOCK]);
    expect(raised()).toBe(1);
    expect(() => mem.request((128 << 20) + 1)).toThrow("there is room for");
  });

  test("the guest takes blocks up to what it is to have, and gives them back", () => {
    const { mem, ask, discarded, field } = growing();
    mem.request(3 * BLOCK);
    expect(ask(REQUEST.plug, START + BLOCK, 2)).toEqual([ACK, 0]);
    expect(ask(REQUEST.plug, START + 4 * BLOCK, 2)).toEqual([NACK, 0]);
    expect(ask(REQUEST.plug, START + 2 * BLOCK, 1)).toEqual([ERROR, 0]);
    expect([[1, 2], [3, 5], [0, 2]].map(([first = 0, count = 0]) => ask(REQUEST.state, START + first * BLOCK, count))).toEqual([[ACK, 0], [ACK, 1], [ACK, 2]]);
    expect([mem.plugged, field(40)]).toEqual([2 * BLOCK, 2 * BLOCK]);
    expect(ask(REQUEST.unplug, START + 2 * BLOCK, 2)).toEqual([ERROR, 0]);
    expect(discarded).toEqual([]);
    expect(ask(REQUEST.unplug, START + 2 * BLOCK, 1)).toEqual([ACK, 0]);
    expect(discarded).toEqual([[START + 2 * BLOCK, BLOCK]]);
    expect(ask(REQUEST.unplugAll)).toEqual([ACK, 0]);
    expect([mem.plugged, discarded.at(-1)]).toEqual([0, [START, 128 << 20]]);
  });

  test.for([
    ["below the region", START - BLOCK, 1], ["behind it", START + (128 << 20), 1], ["across its end", START + (126 << 20), 2], ["between blocks", START + 4096, 1], ["no block", START, 0], ["beyond any memory", 2 ** 63, 1],
  ] as const)("refused: %s", ([, address, count]) => {
    const { mem, ask } = growing();
    mem.request(64 * BLOCK);
    expect([REQUEST.plug, REQUEST.unplug, REQUEST.state, 7].map((type) => ask(type, address, count)[0])).toEqual([ERROR, ERROR, ERROR, ERROR]);
    expect([mem.plugged, ask(REQUEST.plug, START, 1, 23)[0]]).toEqual([0, ERROR]);
  });

  test("a snapshot has the blocks that the guest has, and no others", () => {
    const { mem, memory, ask } = growing();
    mem.request(2 * BLOCK);
    ask(REQUEST.plug, START + BLOCK, 1);
    memory.write(START + 7, Uint8Array.of(1));
    memory.write(START + BLOCK + 7, Uint8Array.of(2));
    const path = join(folder, "grown");
    const fd = openSync(path, "wx+");
    writeSnapshot(fd, { mem: mem.save() }, memory);
    const { state, memoryOffset, memorySize } = readSnapshot(fd);
    const copy = restoreGuestMemory(fd, 4 << 20, memoryOffset, 128 << 20);
    if (copy.growth === undefined) throw new Error("no room");
    const restored = new Mem(copy.growth, () => undefined);
    restored.restore((state as { mem: unknown }).mem);
    expect([memorySize, copy.slice(START + 7, 1)?.[0], copy.slice(START + BLOCK + 7, 1)?.[0], restored.plugged, restored.requested]).toEqual([132 << 20, 0, 2, BLOCK, 2 * BLOCK]);
  });
});

describe("vsock", () => {
  let sockets = 0;
  const CID = 3;
  function guest() {
    const path = join(folder, `vsock${sockets++}`);
    const it = attach(new Vsock({ cid: CID, path, listener: listenUnix(path) }));
    const send = (header: Partial<Header>, data = "") => {
      it.driver(1).put(DATA, encodeHeader({
        sourceCid: CID, destinationCid: 2, sourcePort: 1000, destinationPort: 5, length: data.length, type: 1, op: OP.data, flags: 0,
        bufferSize: 1 << 16, forwarded: 0, ...header,
      }));
      it.driver(1).put(DATA + HEADER_SIZE, data);
      it.request(1, [{ address: DATA, length: HEADER_SIZE + data.length }]);
    };
    /** Offers one buffer to receive into, and gives the packet that comes. */
    const receive = (): (Header & { readonly data: string }) | undefined => {
      const before = it.driver(0).usedIndex;
      it.driver(0).offer(0, [{ address: DATA + 0x1_0000, length: 4096, write: true }]);
      it.transport.notify(0);
      for (let i = 0; i < 20 && it.driver(0).usedIndex === before; i++) it.loop.turn(5);
      if (it.driver(0).usedIndex === before) return undefined;
      const header = decodeHeader(Buffer.from(it.driver(0).text(DATA + 0x1_0000, HEADER_SIZE), "latin1"));
      return { ...header, data: it.driver(0).text(DATA + 0x1_0000 + HEADER_SIZE, header.length) };
    };
    return { path, send, receive, ...it };
  }

  test("a connection to a port where nobody listens is reset", () => {
    const it = guest();
    it.send({ op: OP.request });
    expect(it.receive()).toMatchObject({ op: OP.reset, sourcePort: 5, destinationPort: 1000, sourceCid: 2, destinationCid: CID });
  });

  test.for([
    ["data without a connection", { op: OP.data }],
    ["an unknown operation", { op: 77 }],
    ["an unknown type", { op: OP.request, type: 9 }],
    ["another sender's address", { op: OP.request, sourceCid: 4 }],
  ] as const)("%s is reset", ([, header]) => {
    const it = guest();
    it.send(header);
    expect(it.receive()).toMatchObject({ op: OP.reset });
  });

  test("a reset is not answered", () => {
    const it = guest();
    it.send({ op: OP.reset });
    expect(it.receive()).toBeUndefined();
  });

  test("a host's client is connected to the guest's port, and data goes both ways", async () => {
    const it = guest();
    const client = connect(it.path);
    let received = "";
    client.on("data", (data) => (received += data.toString()));
    client.write("CONNECT 1000\n");
    await settle(it.loop);
    const request = it.receive();
    expect(request).toMatchObject({ op: OP.request, destinationPort: 1000 });
    const hostPort = request?.sourcePort ?? 0;
    it.send({ op: OP.response, destinationPort: hostPort });
    it.send({ op: OP.data, destinationPort: hostPort }, "from the guest");
    await settle(it.loop);
    expect(received).toBe(`OK ${hostPort}\nfrom the guest`);
    client.write("from the host");
    await settle(it.loop);
    expect(it.receive()).toMatchObject({ op: OP.data, data: "from the host" });
    client.end();
    await settle(it.loop);
    expect(it.receive()).toMatchObject({ op: OP.shutdown, flags: 2 });
    it.send({ op: OP.shutdown, flags: 3, destinationPort: hostPort });
    expect(it.receive()).toMatchObject({ op: OP.reset });
    client.destroy();
  });

  test("more data than there was room for ends the connection", async () => {
    const it = guest();
    const client = connect(it.path).on("error", () => undefined);
    client.write("CONNECT 1000\n");
    await settle(it.loop);
    const hostPort = it.receive()?.sourcePort ?? 0;
    it.send({ op: OP.response, destinationPort: hostPort });
    client.pause();
    // The socket takes some 200 kB, we keep 256 KiB more.
    for (let i = 0; i < 40; i++) it.send({ op: OP.data, destinationPort: hostPort }, "x".repeat(32_000));
    const ops = [it.receive()?.op, it.receive()?.op];
    expect(ops).toContain(OP.reset);
    client.destroy();
  });

  test("a client that does not greet is turned away", async () => {
    const it = guest();
    const client = connect(it.path);
    const closed = new Promise((resolve) => client.on("close", resolve));
    client.on("error", () => undefined).resume();
    client.write("GET / HTTP/1.0\r\n");
    for (let i = 0; i < 10; i++) await settle(it.loop);
    await closed;
  });
});

/** Lets Node's own sockets and our loop take turns. */
async function settle(loop: Loop): Promise<void> {
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    loop.turn(2);
  }
}

function port() {
  let sent = "";
  let interrupts = 0;
  const serial = new Serial(new Int32Array(new SharedArrayBuffer(SERIAL_WORDS * 4)), {
    send: (byte) => { sent += String.fromCharCode(byte); },
    interrupt: () => { interrupts++; },
  });
  return { serial, sent: () => sent, interrupts: () => interrupts };
}

describe("serial port", () => {
  test("sends, and is always ready to", () => {
    const { serial, sent, interrupts } = port();
    for (const byte of Buffer.from("ok")) serial.write(0, byte);
    expect([sent(), serial.read(5) & 0x60, interrupts()]).toEqual(["ok", 0x60, 0]);
  });

  test("the divisor hides the data register", () => {
    const { serial, sent } = port();
    serial.write(3, 0x80);
    serial.write(0, 0x01);
    expect([serial.read(0), sent()]).toEqual([1, ""]);
  });

  test("interrupts for an empty transmitter, once for each reason", () => {
    const { serial, interrupts } = port();
    serial.write(1, 2);
    expect([interrupts(), serial.read(2) & 0x0f, serial.read(2) & 0x0f]).toEqual([1, 2, 1]);
    serial.write(0, 65);
    expect([interrupts(), serial.read(2) & 0x0f]).toEqual([2, 2]);
  });

  test("received bytes wait, interrupt, and are bounded", () => {
    const { serial, interrupts } = port();
    serial.write(1, 1);
    let taken = 0;
    while (serial.receive(taken & 0xff)) taken++;
    expect([taken, interrupts(), serial.read(2) & 0x0f, serial.read(5) & 1]).toEqual([255, 255, 4, 1]);
    expect([serial.read(0), serial.read(0)]).toEqual([0, 1]);
    expect(serial.receive(1)).toBe(true);
  });

  test("loopback is how a driver finds the port", () => {
    const { serial, sent } = port();
    serial.write(4, 0x1a);
    expect(serial.read(6) & 0xf0).toBe(0x90);
    serial.write(0, 99);
    expect([sent(), serial.read(0)]).toEqual(["", 99]);
  });
});

test("the clock tells a date in BCD, and cannot be set", () => {
  const rtc = new Rtc(new Int32Array(new SharedArrayBuffer(4)), () => new Date("2031-12-09T23:45:58Z"));
  const read = (register: number) => {
    rtc.write(0, register);
    return rtc.read(1);
  };
  expect([0x32, 9, 8, 7, 4, 2, 0, 6].map(read)).toEqual([0x20, 0x31, 0x12, 0x09, 0x23, 0x45, 0x58, 3]);
  rtc.write(0, 4);
  rtc.write(1, 0x11);
  expect(read(4)).toBe(0x23);
  expect(read(0x80 | 0x0d)).toBe(0x80);
});

test("a wide access to a port is one to each of its bytes; no device is all ones", () => {
  const seen: number[] = [];
  const bus = new PortBus([{ base: 0x70, length: 2, read: (offset) => 0x10 + offset, write: (offset, value) => seen.push(offset, value) }]);
  const data = new Uint8Array(4);
  bus.read(0x70, 4, data);
  expect([...data]).toEqual([0x10, 0x11, 0xff, 0xff]);
  bus.write(0x71, 2, Uint8Array.of(7, 8));
  expect(seen).toEqual([1, 7]);
});
