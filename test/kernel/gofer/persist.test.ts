// A lent directory as a machine's snapshot has it: one session saves what its guest knows, another goes on with it.
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { IN_HEADER, OP, OUT_HEADER, ROOT_NODE } from "../../../gofer/fuse/abi.ts";
import { Session } from "../../../gofer/fuse/session.ts";
import { BUFFER_SIZE } from "../../../gofer/fuse/transport.ts";
import type { CachePolicy } from "../../../gofer/export.ts";
import { HostFileSystem } from "../../../gofer/hostfs/file-system.ts";
import { SAME_IDS } from "../../../gofer/hostfs/ownership.ts";
import { O_DIRECTORY, O_PATH } from "../../../linux/abi/fcntl.ts";
import { open } from "../../../linux/file.ts";
import { permanentBlock } from "../../../linux/memory.unsafe.ts";

const ESTALE = 116;
const FLAGS = 0xffff_ffff;
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tssandbox-persist-"));
  mkdirSync(join(folder, "lent/sub"), { recursive: true });
  writeFileSync(join(folder, "lent/sub/file"), "content");
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

class Guest {
  readonly #request = permanentBlock(BUFFER_SIZE);
  readonly #reply = permanentBlock(BUFFER_SIZE);
  readonly session: Session;

  constructor(cache: CachePolicy, directory = join(folder, "lent")) {
    this.session = new Session(new HostFileSystem({ root: open(directory, O_PATH | O_DIRECTORY), readOnly: false, cache, ownership: SAME_IDS }), this.#request, this.#reply);
  }

  /** @returns the reply's content, or its errno. */
  ask(opcode: number, node: number, body: Uint8Array = new Uint8Array(0)): Buffer | number {
    const length = IN_HEADER.size + body.length;
    this.#request.bytes.fill(0, 0, length);
    this.#request.view.setUint32(IN_HEADER.len, length, true);
    this.#request.view.setUint32(IN_HEADER.opcode, opcode, true);
    this.#request.view.setUint32(IN_HEADER.unique, 1, true);
    this.#request.view.setUint32(IN_HEADER.nodeid, node, true);
    this.#request.bytes.set(body, IN_HEADER.size);
    const size = this.session.handle(length, BUFFER_SIZE);
    const error = this.#reply.view.getInt32(OUT_HEADER.error, true);
    return error < 0 ? -error : Buffer.from(this.#reply.bytes.slice(OUT_HEADER.size, size));
  }

  begin(): this {
    expect(this.ask(OP.INIT, 0, words(7, 36, 0, FLAGS, 0, ...Array.from({ length: 11 }, () => 0)))).toBeInstanceOf(Buffer);
    return this;
  }

  lookup(parent: number, name: string): number {
    const reply = this.ask(OP.LOOKUP, parent, Buffer.from(`${name}\0`));
    if (typeof reply === "number") throw new Error(`${name}: errno ${reply}`);
    return reply.readUInt32LE(0);
  }

  /** @returns its text, or the errno. */
  read(node: number, handle = 0): string | number {
    const reply = this.ask(OP.READ, node, words(handle, 0, 0, 0, 100, 0, 0, 0, 0, 0));
    return typeof reply === "number" ? reply : reply.toString();
  }

  open(node: number): number {
    const reply = this.ask(OP.OPEN, node, words(0, 0));
    if (typeof reply === "number") throw new Error(`open: errno ${reply}`);
    return reply.readUInt32LE(0);
  }
}

const words = (...values: readonly number[]) => Buffer.from(Uint32Array.from(values).buffer);
const copied = (state: unknown): unknown => JSON.parse(JSON.stringify(state));

test("files go by the same numbers, and are opened again when they are used", () => {
  const original = new Guest("exclusive").begin();
  const sub = original.lookup(ROOT_NODE, "sub");
  const node = original.lookup(sub, "file");
  expect(original.read(node)).toBe("content");
  const clone = new Guest("exclusive");
  clone.session.restore(copied(original.session.save()));
  expect(clone.read(node)).toBe("content");
  expect([clone.lookup(ROOT_NODE, "sub"), clone.lookup(sub, "file")]).toEqual([sub, node]);
  writeFileSync(join(folder, "lent/other"), "");
  expect([sub, node, ROOT_NODE]).not.toContain(clone.lookup(ROOT_NODE, "other"));
});

test("a handle of a shared directory's goes on", () => {
  const original = new Guest("shared").begin();
  const node = original.lookup(original.lookup(ROOT_NODE, "sub"), "file");
  const handle = original.open(node);
  const clone = new Guest("shared");
  clone.session.restore(copied(original.session.save()));
  expect(clone.read(node, handle)).toBe("content");
  expect(clone.open(node)).not.toBe(handle);
});

test("another file in its place is not taken for it", () => {
  const original = new Guest("exclusive").begin();
  const node = original.lookup(original.lookup(ROOT_NODE, "sub"), "file");
  const state = copied(original.session.save());
  writeFileSync(join(folder, "new"), "another");
  renameSync(join(folder, "new"), join(folder, "lent/sub/file"));
  const clone = new Guest("exclusive");
  clone.session.restore(state);
  expect(clone.read(node)).toBe(ESTALE);
});

test("another directory is refused, and so is a name that leads elsewhere", () => {
  const original = new Guest("exclusive").begin();
  original.lookup(original.lookup(ROOT_NODE, "sub"), "file");
  const text = JSON.stringify(original.session.save());
  mkdirSync(join(folder, "second"));
  expect(() => new Guest("exclusive", join(folder, "second")).session.restore(JSON.parse(text))).toThrow("not the one that the snapshot was made with");
  for (const name of ["..", ".", "", "a/b"]) {
    expect(() => new Guest("exclusive").session.restore(JSON.parse(text.replace('"name":"file"', `"name":${JSON.stringify(name)}`))), name).toThrow();
  }
  expect(() => original.session.restore(JSON.parse(text))).toThrow("the session has begun");
});
