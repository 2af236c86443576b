import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { O_RDONLY } from "../../../linux/abi/fcntl.ts";
import { open, read, writeAll } from "../../../linux/file.ts";
import { getWindowSize, isTerminal, openPty, rawMode, restoreTerminal, saveTerminal, setWindowSize } from "../../../linux/tty.ts";
import { AT_FDCWD, type Fd } from "../../../linux/fd.ts";

const newPty = () => openPty(AT_FDCWD, "/dev/ptmx");
const stty = (terminal: Fd, ...args: string[]) => execFileSync("stty", args, { stdio: [terminal.number, "pipe", "inherit"], encoding: "utf8" });

test("a pair has its number, and both ends are terminals", () => {
  const { master, slave, index } = newPty();
  expect(readFileSync(`/proc/self/fdinfo/${master.number}`, "utf8")).toContain(`tty-index:\t${index}`);
  expect([isTerminal(master), isTerminal(slave)]).toEqual([true, true]);
  using file = open("/dev/null", O_RDONLY);
  expect(isTerminal(file)).toBe(false);
});

test("raw mode is what stty(1) makes of the same terminal, whatever it was set to before", () => {
  const [ours, theirs] = [newPty(), newPty()];
  for (const { slave } of [ours, theirs]) stty(slave, "min", "0", "time", "7", "istrip", "inlcr", "parmrk", "echonl");
  restoreTerminal(ours.slave, rawMode(saveTerminal(ours.slave)));
  stty(theirs.slave, "raw", "-echo", "-echonl", "-iexten", "cs8", "-parenb");
  expect(stty(ours.slave, "-a")).toBe(stty(theirs.slave, "-a"));
  expect(stty(ours.slave, "-g")).toBe(stty(theirs.slave, "-g"));
});

test("saved settings come back", () => {
  const { slave } = newPty();
  const before = stty(slave, "-g");
  const saved = saveTerminal(slave);
  restoreTerminal(slave, rawMode(saved));
  expect(stty(slave, "-g")).not.toBe(before);
  restoreTerminal(slave, saved);
  expect(stty(slave, "-g")).toBe(before);
});

test("in raw mode bytes pass unchanged, and without it a newline gets its carriage return", () => {
  const { master, slave } = newPty();
  writeAll(slave, "a\n");
  expect(Buffer.from(read(master, 10)).toString()).toBe("a\r\n");
  restoreTerminal(slave, rawMode(saveTerminal(slave)));
  writeAll(slave, "b\n");
  expect(Buffer.from(read(master, 10)).toString()).toBe("b\n");
  writeAll(master, "\x03\r\n");
  expect(Buffer.from(read(slave, 10)).toString()).toBe("\x03\r\n");
});

test("the window size is rows and columns", () => {
  const { master, slave } = newPty();
  setWindowSize(master, { rows: 33, columns: 101 });
  expect(getWindowSize(slave)).toEqual({ rows: 33, columns: 101 });
  expect(stty(slave, "size").trim()).toBe("33 101");
});
