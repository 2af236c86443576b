/** Who holds locks on the files that others on the host use as well: an open file description for each owner in the guest. */
import { tryClose } from "../../linux/data.ts";
import type { HostNode } from "./node.ts";

/** Owners at a time, each a descriptor. */
const MAX_OWNERS = 512;

interface Owner {
  readonly fd: number;
  readonly pid: number;
}

export class LockTable {
  readonly #owners = new Map<HostNode, Map<string, Owner>>();
  #count = 0;

  get(node: HostNode, key: string): Owner | undefined {
    return this.#owners.get(node)?.get(key);
  }

  add(node: HostNode, key: string, owner: Owner): boolean {
    if (this.#count >= MAX_OWNERS) return false;
    const owners = this.#owners.get(node) ?? new Map<string, Owner>();
    owners.set(key, owner);
    this.#owners.set(node, owners);
    this.#count++;
    return true;
  }

  /** The only other owner's pid; 0 where there are several: the host does not tell whose lock it is. */
  otherPid(node: HostNode, key: string): number {
    const others = [...(this.#owners.get(node) ?? [])].filter(([name]) => name !== key);
    return others.length === 1 ? (others[0]?.[1].pid ?? 0) : 0;
  }

  /** Closing the description gives all its locks back. */
  drop(node: HostNode, key: string): void {
    const owners = this.#owners.get(node);
    const owner = owners?.get(key);
    if (owners === undefined || owner === undefined) return;
    tryClose(owner.fd);
    owners.delete(key);
    this.#count--;
    if (owners.size === 0) this.#owners.delete(node);
  }

  dropAll(node: HostNode): void {
    for (const key of this.#owners.get(node)?.keys() ?? []) this.drop(node, key);
  }

  clear(): void {
    for (const node of this.#owners.keys()) this.dropAll(node);
  }
}
