// The split virtqueue against a driver that keeps to the rules, and against ones that do not.
import { expect, test } from "vitest";
import { createGuestMemory } from "../../../vmm/memory.ts";
import { QueueError, SplitQueue } from "../../../vmm/virtio/queue.ts";
import { Driver, ringAddresses } from "./rings.ts";

const MEMORY = 2 << 20;
const DATA = 0x8_0000;
const plain = { eventIndex: false, indirect: true };

function setUp(size = 8, features = plain) {
  const memory = createGuestMemory(MEMORY);
  const driver = new Driver(memory, ringAddresses(size));
  return { memory, driver, queue: new SplitQueue(memory, driver.addresses, features) };
}

test("a chain is read as its buffers, and returned with what was written", () => {
  const { driver, queue } = setUp();
  driver.put(DATA, "request");
  driver.offer(2, [{ address: DATA, length: 7 }, { address: DATA + 100, length: 10, write: true }, { address: DATA + 200, length: 5, write: true }]);
  const chain = queue.pop();
  if (chain === undefined) throw new Error("no chain");
  expect(chain).toMatchObject({ head: 2, readableSize: 7, writableSize: 15 });
  expect(Buffer.concat(chain.readable).toString()).toBe("request");
  chain.writable[1]?.set(Buffer.from("reply"));
  expect(driver.usedIndex).toBe(0);
  queue.push(chain, 15);
  expect([driver.usedIndex, driver.used(0)]).toEqual([1, { head: 2, written: 15 }]);
  expect(driver.text(DATA + 200, 5)).toBe("reply");
  expect(queue.pop()).toBeUndefined();
});

test("indices wrap at 2^16, rings at their size", () => {
  const { driver, queue } = setUp(4);
  for (let i = 0; i < 70_000; i++) {
    driver.offer(i % 4, [{ address: DATA + (i % 100), length: 1 }]);
    const chain = queue.pop();
    if (chain?.head !== i % 4) throw new Error(`chain ${i}`);
    queue.push(chain, 0);
  }
  expect(driver.usedIndex).toBe(70_000 & 0xffff);
});

test("an indirect table counts as the chain", () => {
  const { driver, queue } = setUp();
  driver.descriptor(0, { address: DATA + 10, length: 3, next: 1 }, DATA);
  driver.descriptor(1, { address: DATA + 20, length: 4, write: true }, DATA);
  driver.descriptor(5, { address: DATA, length: 32, indirect: true });
  driver.makeAvailable(5);
  expect(queue.pop()).toMatchObject({ head: 5, readableSize: 3, writableSize: 4 });
});

test("without event indices the driver's flag decides about interrupts, ours about notifications", () => {
  const { driver, queue } = setUp();
  const use = () => {
    driver.offer(0, [{ address: DATA, length: 1 }]);
    const chain = queue.pop();
    if (chain !== undefined) queue.push(chain, 0);
    return queue.takesInterrupt();
  };
  expect(use()).toBe(true);
  driver.availableFlags = 1;
  expect(use()).toBe(false);
  expect(queue.takesInterrupt()).toBe(false);
});

test("with event indices an interrupt comes when the named entry is used, and not before", () => {
  const { driver, queue } = setUp(8, { eventIndex: true, indirect: false });
  const use = (count: number) => {
    for (let i = 0; i < count; i++) {
      driver.offer(0, [{ address: DATA, length: 1 }]);
      const chain = queue.pop();
      if (chain !== undefined) queue.push(chain, 0);
    }
    return queue.takesInterrupt();
  };
  driver.usedEvent = 2;
  expect([use(1), use(1), use(1), use(1)]).toEqual([false, false, true, false]);
  driver.usedEvent = 5;
  expect(use(3)).toBe(true);
  expect(queue.enableNotification()).toBe(false);
  expect(driver.availableEvent).toBe(7);
  driver.offer(0, [{ address: DATA, length: 1 }]);
  expect(queue.enableNotification()).toBe(true);
});

test("a position that was saved is gone on from", () => {
  const { memory, driver, queue } = setUp();
  driver.offer(0, [{ address: DATA, length: 1 }]);
  const first = queue.pop();
  if (first !== undefined) queue.push(first, 0);
  driver.offer(3, [{ address: DATA, length: 1 }]);
  const copy = new SplitQueue(memory, driver.addresses, plain, queue.position);
  expect(copy.pop()).toMatchObject({ head: 3 });
});

test.for([
  ["a size that is no power of 2", { size: 6 }],
  ["a size of 0", { size: 0 }],
  ["a size of 65536", { size: 65536 }],
  ["a table that is not aligned", { descriptors: 0x1_0008 }],
  ["rings that are not aligned", { device: 0x2_0002 }],
  ["a table behind the end", { descriptors: MEMORY }],
  ["a table that runs over the end", { descriptors: MEMORY - 64 }],
  ["an address near 2^64", { driver: 2 ** 64 - 2 }],
] as const)("%s is refused", ([, change]) => {
  const memory = createGuestMemory(MEMORY);
  expect(() => new SplitQueue(memory, { ...ringAddresses(8), ...change }, plain)).toThrow(QueueError);
});

type Break = (driver: Driver) => void;
const chains: Record<string, Break> = {
  "an index that runs ahead": (driver) => { driver.availableIndex = 9; },
  "a head outside of the table": (driver) => driver.makeAvailable(8),
  "a next outside of the table": (driver) => { driver.descriptor(0, { address: DATA, length: 1, next: 77 }); driver.makeAvailable(0); },
  "a loop": (driver) => { driver.descriptor(0, { address: DATA, length: 1, next: 0 }); driver.makeAvailable(0); },
  "a buffer outside of memory": (driver) => driver.offer(0, [{ address: MEMORY - 4, length: 5 }]),
  "a buffer whose end wraps around 2^64": (driver) => driver.offer(0, [{ address: 2 ** 64 - 4096, length: 8192 }]),
  "a buffer to read behind one to write": (driver) => driver.offer(0, [{ address: DATA, length: 1, write: true }, { address: DATA, length: 1 }]),
  "an indirect table of a broken size": (driver) => { driver.descriptor(0, { address: DATA, length: 17, indirect: true }); driver.makeAvailable(0); },
  "an indirect table outside of memory": (driver) => { driver.descriptor(0, { address: MEMORY, length: 32, indirect: true }); driver.makeAvailable(0); },
  "an indirect table that is too long": (driver) => { driver.descriptor(0, { address: DATA, length: 16 * 9, indirect: true }); driver.makeAvailable(0); },
  "an indirect descriptor with a next": (driver) => { driver.descriptor(0, { address: DATA, length: 16, indirect: true, next: 1 }); driver.makeAvailable(0); },
  "an indirect table in an indirect table": (driver) => {
    driver.descriptor(0, { address: DATA, length: 16, indirect: true }, DATA);
    driver.descriptor(0, { address: DATA, length: 16, indirect: true });
    driver.makeAvailable(0);
  },
};

test.for(Object.entries(chains))("%s ends the queue", ([, damage]) => {
  const { driver, queue } = setUp();
  damage(driver);
  expect(() => queue.pop()).toThrow(QueueError);
});

test("an indirect descriptor is refused where it was not agreed on", () => {
  const { driver, queue } = setUp(8, { eventIndex: false, indirect: false });
  driver.descriptor(0, { address: DATA, length: 16, indirect: true });
  driver.makeAvailable(0);
  expect(() => queue.pop()).toThrow(QueueError);
});
