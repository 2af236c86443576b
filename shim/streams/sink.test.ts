import { execFileSync, spawn } from "node:child_process";
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { awaitReader, openSink } from "./sink.ts";

const directory = mkdtempSync(join(tmpdir(), "tss-sink-"));
afterAll(() => rmSync(directory, { recursive: true }));

test("a FIFO's reader that comes late gets all that a short-lived writer has to say", async () => {
  const destination = { kind: "fifo", path: join(directory, "late") } as const;
  execFileSync("mkfifo", [destination.path]);
  let there = false;
  const waiting = awaitReader(destination).then((fd) => ((there = true), fd));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(there).toBe(false);
  const reader = spawn("cat", [destination.path]);
  const text = new Promise<string>((resolve) => reader.stdout.once("data", (chunk: Buffer) => resolve(chunk.toString())));
  const guard = await waiting;
  openSink(destination).end("short");
  closeSync(guard ?? -1);
  expect(await text).toBe("short");
  await new Promise((resolve) => reader.once("close", resolve));
});

test("what is no FIFO has no reader to wait for", async () => {
  expect(await awaitReader({ kind: "none" })).toBeUndefined();
});
