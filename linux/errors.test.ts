import { openSync } from "node:fs";
import { expect, test } from "vitest";
import { EACCES, ENOENT, EPERM } from "./abi/errno.ts";
import { check, errnoName, inStep, isErrno, SysError } from "./errors.ts";

test("a result that is not negative passes, a negative one is an error that names call, path and errno", () => {
  expect(check(0, "open")).toBe(0);
  expect(check(7, "open")).toBe(7);
  expect(() => check(-ENOENT, "open", "/nowhere")).toThrow("open /nowhere: no such file or directory (ENOENT)");
});

test("a step is added once, the inner one kept", () => {
  expect(() => inStep("outer", () => inStep("inner", () => check(-EPERM, "mount", "/proc")))).toThrow("inner: mount /proc: operation not permitted (EPERM)");
});

test("errors of other kinds pass through a step as they are", () => {
  const error = new TypeError("ours");
  expect(() => inStep("step", () => {
    throw error;
  })).toThrow(error);
});

test("a refusal of our own has a hint and no errno", () => {
  expect(new SysError({ syscall: "netDevices", errno: 0, path: "eth0", hint: "not a name" }).message).toBe("netDevices eth0; not a name");
});

test("an errno is recognised in our errors and in Node's", () => {
  expect(isErrno(new SysError({ syscall: "open", errno: EACCES }), ENOENT, EACCES)).toBe(true);
  expect(isErrno(new SysError({ syscall: "open", errno: EACCES }), ENOENT)).toBe(false);
  try {
    openSync("/nowhere/at/all", "r");
    expect.unreachable();
  } catch (error) {
    expect(isErrno(error, ENOENT)).toBe(true);
  }
  for (const other of [undefined, null, "ENOENT", new Error("ENOENT")]) expect(isErrno(other, ENOENT)).toBe(false);
});

test("an errno without a name is told by its number", () => {
  expect(errnoName(ENOENT)).toBe("ENOENT");
  expect(errnoName(999)).toBe("errno 999");
});
