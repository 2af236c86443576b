/**
 * A file system that behaves like resctrl, for hosts without the hardware: `resctrl-server.ts DIR` mounts it (FUSE) and serves it
 * until it is unmounted.
 * As there: a group is made by mkdir and has its files at once; `tasks` moves a live task, out of the group that it was in; `schemata` takes
 * whole lines of known resources and shows them formatted, bandwidth rounded up; groups run out; info/last_cmd_status tells why.
 * Not as there: no cache is divided, a child does not start in its parent's group, and a task that ends stays listed.
 * Sources: Linux Documentation/filesystems/resctrl.rst, fs/resctrl; fuse(4), include/uapi/linux/fuse.h.
 */
import { spawn } from "node:child_process";
import { existsSync, openSync, readdirSync, readSync, writeSync } from "node:fs";
import process from "node:process";

const [ENOENT, ESRCH, EPERM, EEXIST, EINVAL, ENOSPC, ENOSYS] = [2, 3, 1, 17, 22, 28, 38];
const CONTROL_GROUPS = 3;
const GRANULARITY = 10;

class Refusal extends Error {
  readonly errno: number;
  constructor(errno: number, why: string) {
    super(why);
    this.errno = errno;
  }
}

interface Node {
  readonly id: number;
  readonly children?: Map<string, Node>;
  readonly group?: Group;
  readonly read?: () => string;
  readonly write?: (text: string) => void;
}

/** A control group, or a monitoring group of one. */
interface Group {
  readonly parent: Group | undefined;
  readonly tasks: Set<number>;
  readonly schemata: Map<string, Map<number, number>>;
  readonly monitors: Set<Group>;
}

let lastStatus = "ok";
const nodes = new Map<number, Node>();
const groups = new Set<Group>();

function add(node: Omit<Node, "id">): Node {
  const made = { ...node, id: nodes.size + 1 + removed };
  nodes.set(made.id, made);
  return made;
}
let removed = 0;

const file = (read: () => string, write?: (text: string) => void) => add({ read, ...(write === undefined ? {} : { write }) });
const directory = (children: Record<string, Node>, group?: Group) => add({ children: new Map(Object.entries(children)), ...(group === undefined ? {} : { group }) });

function newGroup(parent: Group | undefined): Group {
  const schemata = new Map([["MB", new Map([[0, 100], [1, 100]])], ["L3", new Map([[0, 0x7ff], [1, 0x7ff]])]]);
  const group: Group = { parent, tasks: new Set(), schemata, monitors: new Set() };
  (parent === undefined ? groups : parent.monitors).add(group);
  return group;
}

function groupFiles(group: Group): Record<string, Node> {
  const tasks = file(() => [...group.tasks].map((task) => `${task}\n`).join(""), (text) => moveTask(group, Number(text)));
  if (group.parent !== undefined) return { tasks };
  return { tasks, schemata: file(() => showSchemata(group), (text) => setSchemata(group, text)), mon_groups: directory({}, group) };
}

function moveTask(group: Group, task: number): void {
  if (!existsSync(`/proc/${task}`)) throw new Refusal(ESRCH, "No such task");
  if (group.parent !== undefined && !group.parent.tasks.has(task)) throw new Refusal(EINVAL, "Can't move task to different control group");
  const others = group.parent === undefined ? [...groups].flatMap((other) => [other, ...other.monitors]) : group.parent.monitors;
  for (const other of others) other.tasks.delete(task);
  group.tasks.add(task);
}

const showValue = (resource: string, value: number) => (resource === "MB" ? String(value).padStart(3) : value.toString(16).padStart(3, "0"));

function showSchemata({ schemata }: Group): string {
  return [...schemata].map(([name, values]) => `    ${name}:${[...values].map(([domain, value]) => `${domain}=${showValue(name, value)}`).join(";")}\n`).join("");
}

function setSchemata({ schemata }: Group, text: string): void {
  if (!text.endsWith("\n")) throw new Refusal(EINVAL, "");
  for (const line of text.trimEnd().split("\n")) {
    const [name = "", values = ""] = line.split(":");
    const resource = schemata.get(name);
    if (resource === undefined) throw new Refusal(EINVAL, `Unknown or unsupported resource name '${name}'`);
    for (const pair of values.split(";")) setValue(name, resource, pair);
  }
}

function setValue(name: string, resource: Map<number, number>, pair: string): void {
  const [domain = "", text = ""] = pair.split("=");
  const value = name === "MB" ? Math.ceil(Number(text) / GRANULARITY) * GRANULARITY : Number.parseInt(text, 16);
  const holes = name === "L3" && !/^1+0*$/.test(value.toString(2));
  if (!resource.has(Number(domain)) || Number.isNaN(value) || holes) throw new Refusal(EINVAL, `The mask ${text} has non-consecutive 1-bits`);
  resource.set(Number(domain), value);
}

function makeGroup(parent: Node, name: string): Node {
  if (parent.children?.has(name) === true) throw new Refusal(EEXIST, "");
  if (parent.group === undefined || name === "mon_groups") throw new Refusal(EPERM, "");
  const monitoring = parent !== root;
  if (!monitoring && groups.size > CONTROL_GROUPS) throw new Refusal(ENOSPC, "Out of CLOSIDs");
  const group = newGroup(monitoring ? parent.group : undefined);
  const made = directory(groupFiles(group), group);
  parent.children?.set(name, made);
  return made;
}

function removeGroup(parent: Node, name: string): void {
  const node = parent.children?.get(name);
  if (node === undefined) throw new Refusal(ENOENT, "");
  if (node.group === undefined) throw new Refusal(EPERM, "");
  parent.children?.delete(name);
  groups.delete(node.group);
  node.group.parent?.monitors.delete(node.group);
  nodes.delete(node.id);
  removed++;
}

const rootGroup = newGroup(undefined);
// The root is FUSE's node 1.
const root = directory({}, rootGroup);
for (const [name, node] of Object.entries(groupFiles(rootGroup))) root.children?.set(name, node);
root.children?.set("info", directory({ MB: directory({ bandwidth_gran: file(() => `${GRANULARITY}\n`) }), last_cmd_status: file(() => `${lastStatus}\n`) }));

function attributes(node: Node): Buffer {
  const attr = Buffer.alloc(88);
  attr.writeBigUInt64LE(BigInt(node.id), 0);
  attr.writeUInt32LE(node.children === undefined ? 0o100644 : 0o040755, 60);
  attr.writeUInt32LE(1, 64);
  return attr;
}

const number64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const entry = (node: Node): Buffer => Buffer.concat([number64(node.id), Buffer.alloc(32), attributes(node)]);
const nameAt = (body: Buffer, from: number): string => body.toString("utf8", from, body.indexOf(0, from));

function directoryEntries(node: Node, offset: number): Buffer {
  const entries = [...(node.children ?? [])].map(([name, child], index) => {
    const head = Buffer.alloc(24);
    head.writeBigUInt64LE(BigInt(child.id), 0);
    head.writeBigUInt64LE(BigInt(index + 1), 8);
    head.writeUInt32LE(Buffer.byteLength(name), 16);
    head.writeUInt32LE(child.children === undefined ? 8 : 4, 20);
    return Buffer.concat([head, Buffer.from(name), Buffer.alloc((8 - (Buffer.byteLength(name) % 8)) % 8)]);
  });
  return Buffer.concat(entries.slice(offset));
}

function initialized(): Buffer {
  const reply = Buffer.alloc(64);
  reply.writeUInt32LE(7, 0);
  reply.writeUInt32LE(31, 4);
  reply.writeUInt32LE(65_536, 20);
  return reply;
}

/** Reads and writes go past the page cache: what a file holds may change at any time. */
const FOPEN_DIRECT_IO = 1;

function answer(opcode: number, node: Node, body: Buffer): Buffer {
  switch (opcode) {
    case 1: {
      const child = node.children?.get(nameAt(body, 0));
      if (child === undefined) throw new Refusal(ENOENT, lastStatus);
      return entry(child);
    }
    case 3:
    case 4:
      return Buffer.concat([Buffer.alloc(16), attributes(node)]);
    case 9:
      return entry(makeGroup(node, nameAt(body, 8)));
    case 11:
      removeGroup(node, nameAt(body, 0));
      return Buffer.alloc(0);
    case 14:
    case 27:
      return Buffer.concat([number64(0), number64(FOPEN_DIRECT_IO)]);
    case 15: {
      const offset = Number(body.readBigUInt64LE(8));
      return Buffer.from(node.read?.() ?? "").subarray(offset);
    }
    case 16: {
      const size = body.readUInt32LE(16);
      if (node.write === undefined) throw new Refusal(EPERM, "");
      node.write(body.toString("utf8", 40, 40 + size));
      return number64(size);
    }
    case 18:
    case 29:
      return Buffer.alloc(0);
    case 26:
      return initialized();
    case 28:
      return directoryEntries(node, Number(body.readBigUInt64LE(8)));
    default:
      throw new Refusal(ENOSYS, lastStatus);
  }
}

const CHANGES = new Set([9, 11, 16]);
/** FORGET and BATCH_FORGET have no answer. */
const UNANSWERED = new Set([2, 42]);

function serve(device: number): void {
  const request = Buffer.alloc(1 << 18);
  for (;;) {
    const length = readRequest(device, request);
    if (length === undefined) return;
    const opcode = request.readUInt32LE(4);
    if (UNANSWERED.has(opcode)) continue;
    const node = nodes.get(Number(request.readBigUInt64LE(16))) ?? root;
    const { errno, data } = outcome(opcode, node, request.subarray(40, length));
    const head = Buffer.alloc(16);
    head.writeUInt32LE(16 + data.length, 0);
    head.writeInt32LE(-errno, 4);
    request.copy(head, 8, 8, 16);
    writeSync(device, Buffer.concat([head, data]));
  }
}

/** Until the device is mounted, reading it is EPERM. @returns undefined when it is unmounted. */
function readRequest(device: number, request: Buffer): number | undefined {
  for (;;) {
    try {
      return readSync(device, request);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENODEV") return undefined;
      if (code !== "EPERM") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}

function outcome(opcode: number, node: Node, body: Buffer): { errno: number; data: Buffer } {
  try {
    const data = answer(opcode, node, body);
    if (CHANGES.has(opcode)) lastStatus = "ok";
    return { errno: 0, data };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (CHANGES.has(opcode)) lastStatus = error.message;
    return { errno: error.errno, data: Buffer.alloc(0) };
  }
}

const [target = ""] = process.argv.slice(2);
if (readdirSync(target).length > 0) throw new Error(`${target} is not empty`);
const device = openSync("/dev/fuse", "r+");
const options = "fd=3,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other";
spawn("mount", ["-i", "-t", "fuse", "-o", options, "resctrl", target], { stdio: ["ignore", "inherit", "inherit", device] });
serve(device);
