/**
 * Hostile FUSE messages, thousands a second, straight into a session over a real directory: `node fuzz.ts BASE SEED MILLISECONDS POLICY OWNERSHIP`.
 * Run as an ordinary user who owns BASE: what leads out of BASE/lent is then found in BASE/secret, and harms nothing else.
 * Prints one line of JSON: how many messages, replies by errno, and what was wrong.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { CachePolicy } from "../../../../gofer/export.ts";
import { IN_HEADER, INIT_IN, OP, OUT_HEADER, ROOT_NODE } from "../../../../gofer/fuse/abi.ts";
import { Session } from "../../../../gofer/fuse/session.ts";
import { BUFFER_SIZE } from "../../../../gofer/fuse/transport.ts";
import { HostFileSystem } from "../../../../gofer/hostfs/file-system.ts";
import { SAME_IDS } from "../../../../gofer/hostfs/ownership.ts";
import { O_PATH } from "../../../../linux/abi/fcntl.ts";
import { errnoName } from "../../../../linux/errors.ts";
import { open } from "../../../../linux/file.ts";
import { permanentBlock } from "../../../../linux/memory.unsafe.ts";

const [base = "", seed = "1", milliseconds = "1000", policy = "shared", ownership = "kept"] = process.argv.slice(2);
const MARK = "nobody may read this";
const ROUND = 4000;
const LIMITS = { nodeFds: 40, dataFds: 20, nodes: 300 };
const OPCODES = [...Object.values(OP), 0, 7, 19, 53, 4096, 0xffff_ffff];

/** mulberry32: the same numbers for the same seed. */
let state = Number(seed);
function random(below: number): number {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % below;
}
const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T;

const lent = join(base, "lent");
const secret = join(base, "secret");
mkdirSync(secret);
writeFileSync(join(secret, "file"), MARK);

/** A tree whose links lead out, in the place of what the last round has left of it. */
function plant(): void {
  execFileSync("/bin/sh", ["-c", 'test ! -e "$0" || { chmod -R u+rwx "$0"; rm -rf "$0"; }', lent]);
  for (const directory of [lent, join(lent, "d"), join(lent, "d/e")]) mkdirSync(directory);
  for (const name of ["f", "g", "d/h", "d/e/i"]) writeFileSync(join(lent, name), name.repeat(1000));
  symlinkSync("../secret", join(lent, "out"));
  symlinkSync(secret, join(lent, "d/absolute"));
  symlinkSync("../../secret/file", join(lent, "d/file"));
  execFileSync("mkfifo", [join(lent, "fifo")]);
}

plant();
const outside = () => JSON.stringify([readdirSync(base).sort(), readdirSync(secret), readFileSync(join(secret, "file"), "utf8"), statSync(join(secret, "file")).mode, statSync(secret).mtimeMs, statSync(secret).mode]);
const before = outside();

const request = permanentBlock(BUFFER_SIZE);
const reply = permanentBlock(BUFFER_SIZE);
const loan = () => ({
  root: open(lent, O_PATH), readOnly: false, cache: policy as CachePolicy, ownership: ownership === "kept" ? SAME_IDS : ({ kind: "recorded" } as const),
});

const NAMES = ["f", "g", "d", "e", "h", "i", "out", "absolute", "file", "fifo", "new", "new2", ".", "..", "", "/", "a/b", "../secret", "../secret/file", "/etc/passwd", "n".repeat(255), "n".repeat(256), "n".repeat(5000), "\xff\xfe", "user.x", "user.tssandbox.owner", "trusted.x", "security.capability", "system.posix_acl_access"];
const NUMBERS = [0, 1, 2, 3, 7, 8, 16, 255, 0o644, 0o755, 0o4755, 0o100644, 0o010644, 0o020644, 0o040755, 0o120777, 4096, 65536, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
const nodes: number[] = [ROOT_NODE];
const handles: number[] = [0];

function put64(at: number, low: number, high: number): void {
  request.view.setUint32(at, low, true);
  request.view.setUint32(at + 4, high, true);
}

/** A field: mostly something that is worth something in one operation or another. */
function putField(at: number): void {
  const kind = random(8);
  if (kind < 2) put64(at, pick(handles), 0);
  else if (kind < 4) put64(at, pick(nodes), 0);
  else if (kind < 7) put64(at, pick(NUMBERS), random(4) === 0 ? pick(NUMBERS) : 0);
  else put64(at, random(0x1_0000_0000), random(0x1_0000_0000));
}

function putName(at: number): number {
  const bytes = Buffer.from(pick(NAMES), "latin1");
  request.bytes.set(bytes, at);
  request.bytes[at + bytes.length] = random(20) === 0 ? 0x41 : 0;
  return at + bytes.length + 1;
}

/** Size of the struct and number of names that follow it. */
const SHAPES: readonly (readonly [opcode: number, size: number, names: number])[] = [
  [OP.LOOKUP, 0, 1], [OP.LOOKUP, 0, 1], [OP.LOOKUP, 0, 1], [OP.GETATTR, 16, 0], [OP.SETATTR, 88, 0], [OP.READLINK, 0, 0], [OP.SYMLINK, 0, 2],
  [OP.MKNOD, 16, 1], [OP.MKDIR, 8, 1], [OP.UNLINK, 0, 1], [OP.RMDIR, 0, 1], [OP.RENAME, 8, 2], [OP.RENAME2, 16, 2], [OP.LINK, 8, 1], [OP.OPEN, 8, 0],
  [OP.READ, 40, 0], [OP.WRITE, 40, 1], [OP.RELEASE, 24, 0], [OP.FSYNC, 16, 0], [OP.SETXATTR, 8, 2], [OP.GETXATTR, 8, 1], [OP.LISTXATTR, 8, 0],
  [OP.REMOVEXATTR, 0, 1], [OP.OPENDIR, 8, 0], [OP.READDIR, 40, 0], [OP.READDIRPLUS, 40, 0], [OP.RELEASEDIR, 24, 0], [OP.FSYNCDIR, 16, 0],
  [OP.GETLK, 48, 0], [OP.SETLK, 48, 0], [OP.SETLKW, 48, 0], [OP.CREATE, 16, 1], [OP.FALLOCATE, 32, 0], [OP.LSEEK, 24, 0], [OP.COPY_FILE_RANGE, 56, 0], [OP.STATX, 24, 0],
];

/** A message of the right shape: the header is written already. @returns the length. */
function composeWell(): number {
  const [opcode, size, names] = pick(SHAPES);
  request.view.setUint32(IN_HEADER.opcode, opcode, true);
  put64(IN_HEADER.nodeid, pick(nodes), 0);
  const end = IN_HEADER.size + size;
  for (let at: number = IN_HEADER.size; at < end; at += 8) {
    if (random(3) === 0) put64(at, random(70_000), 0);
    else putField(at);
  }
  // Most structs begin with a handle, or with small numbers.
  if (size > 0 && random(2) === 0) put64(IN_HEADER.size, pick(random(2) === 0 ? handles : nodes), 0);
  // Not for its outcome: gigabytes of memory take a while.
  if (opcode === OP.FALLOCATE) for (const field of [8, 16]) put64(IN_HEADER.size + field, random(1 << 20), 0);
  if (opcode === OP.WRITE) request.view.setUint32(IN_HEADER.size + 16, random(40), true);
  let at = end;
  for (let i = 0; i < names; i++) at = putName(at);
  if (opcode === OP.WRITE) at += 40;
  request.view.setUint32(IN_HEADER.len, at, true);
  return at;
}

/** @returns the length. */
function compose(): number {
  if (random(4) > 0) {
    put64(IN_HEADER.unique, random(0x1_0000_0000), random(0x1_0000_0000));
    return composeWell();
  }
  return composeWild();
}

function composeWild(): number {
  request.view.setUint32(IN_HEADER.opcode, random(50) === 0 ? random(0x1_0000_0000) : pick(OPCODES), true);
  put64(IN_HEADER.unique, random(0x1_0000_0000), random(0x1_0000_0000));
  put64(IN_HEADER.nodeid, random(20) === 0 ? random(0x1_0000_0000) : pick(nodes), random(30) === 0 ? random(0x1_0000_0000) : 0);
  for (const at of [IN_HEADER.uid, IN_HEADER.gid]) request.view.setUint32(at, random(3) === 0 ? pick(NUMBERS) : process.getuid?.() ?? 0, true);
  let at: number = IN_HEADER.size;
  for (let fields = random(12); fields > 0; fields--, at += 8) putField(at);
  for (let names = random(3); names > 0; names--) at = putName(at);
  if (random(4) === 0) at += random(300);
  if (random(20) === 0) at = random(at + 1);
  request.view.setUint32(IN_HEADER.len, random(50) === 0 ? random(0x1_0000_0000) : at, true);
  return at;
}

function remember(list: number[], value: number): void {
  if (!Number.isSafeInteger(value) || list.includes(value)) return;
  if (list.length < 64) list.push(value);
  else list[1 + random(63)] = value;
}

const wrong: string[] = [];
const outcomes: Record<string, number> = {};
let messages = 0;

/** What the other side would believe. */
function checkReply(opcode: number, length: number, capacity: number): void {
  if (length === 0) return;
  const error = reply.view.getInt32(OUT_HEADER.error, true);
  const name = error === 0 ? "ok" : errnoName(-error);
  outcomes[name] = (outcomes[name] ?? 0) + 1;
  if (length > capacity || reply.view.getUint32(OUT_HEADER.len, true) !== length) wrong.push(`${opcode}: length ${length} of ${capacity}`);
  if (error > 0 || error <= -512 || (error < 0 && length !== OUT_HEADER.size)) wrong.push(`${opcode}: error ${error}, length ${length}`);
  if (reply.view.getUint32(OUT_HEADER.unique, true) !== request.view.getUint32(IN_HEADER.unique, true)) wrong.push(`${opcode}: unique`);
  const isLookup = [OP.LOOKUP, OP.MKDIR, OP.MKNOD, OP.SYMLINK, OP.LINK, OP.CREATE].includes(opcode as 1);
  if (error === 0 && isLookup) remember(nodes, reply.view.getUint32(OUT_HEADER.size, true));
  if (error === 0 && (opcode === OP.OPEN || opcode === OP.OPENDIR)) remember(handles, reply.view.getUint32(OUT_HEADER.size, true));
  if (error === 0 && opcode === OP.CREATE) remember(handles, reply.view.getUint32(OUT_HEADER.size + 128, true));
  if (error === 0 && Buffer.from(reply.bytes.subarray(0, length)).includes(MARK)) wrong.push(`${opcode}: read the secret`);
}

function initialise(session: Session): void {
  request.view.setUint32(IN_HEADER.len, IN_HEADER.size + INIT_IN.size, true);
  request.view.setUint32(IN_HEADER.opcode, OP.INIT, true);
  request.view.setUint32(IN_HEADER.size, 7, true);
  request.view.setUint32(IN_HEADER.size + 4, 45, true);
  session.handle(IN_HEADER.size + INIT_IN.size, BUFFER_SIZE);
}

function sendOne(session: Session): void {
  const length = compose();
  const opcode = request.view.getUint32(IN_HEADER.opcode, true);
  // It would only end the round.
  if (opcode === OP.DESTROY) return;
  messages++;
  const capacity = random(20) === 0 ? 16 + random(300) : BUFFER_SIZE;
  const header = Buffer.from(request.bytes.subarray(0, Math.min(length, 120))).toString("hex");
  try {
    checkReply(opcode, session.handle(length, capacity), capacity);
  } catch (error) {
    wrong.push(`${opcode}: ${error instanceof Error ? error.stack : String(error)} ${header}`);
  }
}

let descriptors = 0;

/** A connection from beginning to end. */
function playRound(): void {
  const fileSystem = new HostFileSystem(loan(), LIMITS);
  const session = new Session(fileSystem, request, reply);
  nodes.splice(1);
  handles.splice(1);
  initialise(session);
  for (let i = 0; i < ROUND && wrong.length < 5; i++) sendOne(session);
  const { nodes: table } = fileSystem.host;
  if (table.count > LIMITS.nodes || table.fds.count > LIMITS.nodeFds || table.data.count > LIMITS.dataFds) wrong.push(`limits: ${table.count} ${table.fds.count}`);
  descriptors = Math.max(descriptors, readdirSync("/proc/self/fd").length);
  session.end();
  if (outside() !== before) wrong.push(`outside: ${before} -> ${outside()}`);
}

for (const end = performance.now() + Number(milliseconds); wrong.length < 5 && performance.now() < end; plant()) playRound();
const left = readdirSync("/proc/self/fd").length;
process.stdout.write(`${JSON.stringify({ messages, outcomes, wrong, descriptors, left })}\n`);
