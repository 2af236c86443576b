import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { afterAll, expect, test } from "vitest";
import { copyInput } from "./input.ts";

const directory = mkdtempSync(join(tmpdir(), "tss-input-"));
afterAll(() => rmSync(directory, { recursive: true }));

function fifo(name: string): string {
  const path = join(directory, name);
  execFileSync("mkfifo", [path]);
  return path;
}

/** What takes its time, a few bytes at once. */
class Slow extends Writable {
  size = 0;
  readonly ended = new Promise<number>((resolve) => this.once("finish", () => resolve(this.size)));

  constructor() {
    super({ highWaterMark: 16 });
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.size += chunk.length;
    setTimeout(done, 1);
  }
}

/** As much as a FIFO holds. */
const FULL = 65536;

test("close: what has been written before is passed on, though its writer is still there", async () => {
  const [path, target] = [fifo("close"), new Slow()];
  const input = copyInput(path, target, true);
  const writer = openSync(path, constants.O_WRONLY);
  expect(writeSync(writer, Buffer.alloc(FULL))).toBe(FULL);
  input.close();
  expect(await target.ended).toBe(FULL);
  closeSync(writer);
});

test("the end of the last writer is the end", async () => {
  const [path, target] = [fifo("end"), new Slow()];
  copyInput(path, target, true);
  const writer = openSync(path, constants.O_WRONLY);
  writeSync(writer, "input");
  closeSync(writer);
  expect(await target.ended).toBe(5);
});

test("without a writer yet there is no end; a terminal gets none at all", async () => {
  const [early, terminal] = [new Slow(), new Slow()];
  copyInput(fifo("early"), early, true);
  const path = fifo("terminal");
  copyInput(path, terminal, false).close();
  closeSync(openSync(path, constants.O_RDWR));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect([early.writableEnded, terminal.writableEnded]).toEqual([false, false]);
});
