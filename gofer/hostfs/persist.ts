/**
 * What a guest knows of a lent directory, for a snapshot of its machine: nodes by the names they were found with, handles by their nodes. Who takes it
 * over finds each file again when it is first used, and answers ESTALE where another lies at its place, or none.
 *
 * Not saved: files that have lost their name, locks. What comes back is taken for hostile.
 */
import * as v from "valibot";
import { tryClose } from "../../linux/data.ts";
import { ROOT_NODE } from "../fuse/abi.ts";
import { Handle } from "./handles.ts";
import type { Host } from "./host.ts";
import { HostNode } from "./node.ts";

const word = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const MAX_NAME = 255;

/** One character a byte. */
const name = v.pipe(v.string(), v.maxLength(MAX_NAME), v.regex(/^[^/\0]*$/));

const savedNode = v.strictObject({
  id: word, generation: word, lookups: word, parent: word, name, key: v.union([v.number(), v.string()]), mode: word, birthSeconds: v.number(), birthNanoseconds: word,
  setsGroup: v.boolean(), group: word,
});
const savedHandle = v.strictObject({ number: word, node: word, flags: word, directory: v.boolean() });
const savedHost = v.strictObject({ nodes: v.array(savedNode), handles: v.array(savedHandle) });
type SavedHost = v.InferOutput<typeof savedHost>;

export function saveHost({ nodes, handles }: Host): SavedHost {
  return {
    nodes: Array.from(nodes.named(), (node) => ({
      id: node.id, generation: node.generation, lookups: node.lookups, parent: node.parent?.id ?? 0, name: node.name, key: node.key, mode: node.type,
      birthSeconds: node.birthSeconds, birthNanoseconds: node.birthNanoseconds, setsGroup: node.setsGroup, group: node.group,
    })),
    handles: Array.from(handles.all(), ([number, { node, flags }]) => ({ number, node: node.id, flags, directory: node.isDirectory })),
  };
}

/** Preconditions: nobody has asked for anything yet. @throws Error where it is another directory, or no state at all */
export function restoreHost(host: Host, state: unknown): void {
  const [root, ...others] = v.parse(savedHost, state).nodes;
  if (root?.id !== ROOT_NODE || host.nodes.get(ROOT_NODE)?.key !== root.key) throw new Error("the lent directory is not the one that the snapshot was made with");
  for (const saved of others) {
    const parent = host.nodes.get(saved.parent);
    if (parent === undefined || saved.name === "" || saved.name === "." || saved.name === "..") throw new Error(`a saved file without a place: node ${saved.id}`);
    const node = new HostNode(saved.id, saved.generation, saved.key, saved);
    node.lookups = saved.lookups;
    node.parent = parent;
    node.name = saved.name;
    node.setsGroup = saved.setsGroup;
    node.group = saved.group;
    host.nodes.restore(node);
  }
  host.nodes.closeGaps();
  for (const saved of v.parse(savedHost, state).handles) restoreHandle(host, saved);
  host.handles.closeGaps();
}

/** One whose file is gone has no descriptor: whoever uses it gets EBADF. */
function restoreHandle(host: Host, { number, node: id, flags, directory }: SavedHost["handles"][number]): void {
  const node = host.nodes.get(id);
  if (node === undefined) return;
  const fd = directory ? host.openListing(node) : host.openData(node, flags & PASSED);
  try {
    host.handles.restore(number, new Handle(Math.max(fd, -1), node, flags));
  } catch (error) {
    tryClose(fd);
    throw error;
  }
}

/** O_WRONLY, O_RDWR, O_APPEND: no flag that changes anything by opening. */
const PASSED = 0o2003;
