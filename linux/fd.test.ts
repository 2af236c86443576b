import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { expect, test } from "vitest";
import { closingOnFailure, Fd, fdNumber } from "./fd.ts";

const isOpen = (number: number) => {
  try {
    fstatSync(number);
    return true;
  } catch {
    return false;
  }
};

test("a descriptor is closed at the end of its scope", () => {
  let number = -1;
  {
    using fd = new Fd(openSync("/dev/null", "r"));
    number = fd.number;
    expect(isOpen(number)).toBe(true);
  }
  expect(isOpen(number)).toBe(false);
});

test("a second close does not touch the number, which may be somebody else's by then", () => {
  const fd = new Fd(openSync("/dev/null", "r"));
  const number = fd.number;
  fd.close();
  const other = openSync("/dev/zero", "r");
  expect(other).toBe(number);
  fd.close();
  fd[Symbol.dispose]();
  expect(readSync(other, Buffer.alloc(4))).toBe(4);
  closeSync(other);
});

test("a released descriptor stays open, and the owner cannot use it any more", () => {
  const fd = new Fd(openSync("/dev/null", "r"));
  const number = fd.release();
  fd.close();
  expect(isOpen(number)).toBe(true);
  expect(() => fd.number).toThrow("descriptor used after it was closed or released");
  expect(() => fd.procPath).toThrow("released");
  expect(() => fd.release()).toThrow("released");
  closeSync(number);
});

test("use after close is an error of ours, not EBADF or a stranger's file", () => {
  const fd = new Fd(openSync("/dev/null", "r"));
  fd.close();
  expect(() => fdNumber(fd)).toThrow("closed");
});

const openNull = () => new Fd(openSync("/dev/null", "r"));

test("a failure closes what was opened meanwhile, inner scopes that succeeded included, but not what was handed on", () => {
  const before = openNull();
  const seen: number[] = [];
  const opened = (fd: Fd) => (seen.push(fd.number), fd);
  let kept = -1;
  expect(() =>
    closingOnFailure(() => {
      opened(openNull());
      closingOnFailure(() => opened(openNull()));
      kept = openNull().release();
      throw new Error("the failure");
    }),
  ).toThrow("the failure");
  expect(seen).toHaveLength(2);
  expect([...seen, kept, before.number].map(isOpen)).toEqual([false, false, true, true]);
  closeSync(kept);
  before.close();
});

test("an inner failure leaves what the outer scope has opened, and success leaves everything", () => {
  const fd = closingOnFailure(() => {
    const outer = openNull();
    expect(() => closingOnFailure(() => { throw new Error("inner"); })).toThrow("inner");
    return outer;
  });
  expect(isOpen(fd.number)).toBe(true);
  fd.close();
});

test("descriptor 0 is one like any other", () => {
  const fd = new Fd(0);
  expect(fd.number).toBe(0);
  expect(fd.procPath).toBe("/proc/self/fd/0");
  expect(fd.release()).toBe(0);
});

test.each([-1, 1.5, Number.NaN])("%d is no descriptor", (number) => {
  expect(() => new Fd(number)).toThrow(RangeError);
});
