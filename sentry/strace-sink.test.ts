import { afterEach, expect, test } from "vitest";
import { setNonBlocking } from "../linux/fcntl.ts";
import type { Fd } from "../linux/fd.ts";
import { pipe, read, writeAll } from "../linux/file.ts";
import { BoundedSink } from "./strace-sink.ts";

const open: Fd[] = [];

function makePipe(): readonly [reader: Fd, writer: Fd] {
  const pair = pipe();
  open.push(...pair);
  return pair;
}

afterEach(() => {
  for (const fd of open.splice(0)) fd.close();
});

const text = (fd: Fd) => Buffer.from(read(fd, 100_000)).toString();

test("lines have the form of their log, and an end", () => {
  const [reader, writer] = makePipe();
  const sink = new BoundedSink(writer, (line) => `msg=${line}`);
  sink.print("one");
  sink.print("x".repeat(10_000));
  expect(text(reader)).toBe(`msg=one\nmsg=${"x".repeat(3000)}...\n`);
});

test("what nobody reads in time is lost, at once from then on, which is told when there is room again", () => {
  const [reader, writer] = makePipe();
  const sink = new BoundedSink(writer, (line) => line);
  const PIPE_SIZE = 65_536;
  writeAll(writer, "x".repeat(PIPE_SIZE));
  // If each waited, this would take longer than a test may.
  for (let i = 0; i < 100; i++) sink.print("lost");
  expect(text(reader)).toHaveLength(PIPE_SIZE);
  sink.print("there");
  expect(text(reader)).toBe("100 lines were lost\nthere\n");
});

test("a reader that is gone, and one that is not waited for by the descriptor's own flags, are no failure", () => {
  const [reader, writer] = makePipe();
  const sink = new BoundedSink(writer, (line) => line);
  setNonBlocking(writer);
  sink.print("one");
  expect(text(reader)).toBe("one\n");
  reader.close();
  sink.print("two");
});
