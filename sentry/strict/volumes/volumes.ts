/** Which names and files lie on volumes, and at whose desk (errands.ts) is asked for them. */
import { AT_EMPTY_PATH, AT_STATX_DONT_SYNC } from "../../../linux/abi/fcntl.ts";
import { STATX_SIZE } from "../../../linux/abi/statx.ts";
import { madeBy } from "../../../linux/made-by.ts";
import { permanentBlock } from "../../../linux/memory.unsafe.ts";
import { EMPTY_PATH, statx } from "../../../linux/on-behalf.ts";
import type { Desk } from "./errands.ts";
import { unescapeField } from "../../../linux/mount-text.ts";

/** struct statx: what is asked, without asking the file system. */
const TYPE_AND_MODE = 3;
const OFFSET = { mode: 0x1c, major: 0x88, minor: 0x8c } as const;
const looked = permanentBlock(STATX_SIZE);

/** The guest's own cover its procfs and sysfs, and do not wait. */
const OWN = /^\/(?:proc|sys)?(?:\/|$)/;

export class Volumes {
  /** By where they are configured to be; text as bytes. */
  readonly #configured: ReadonlyMap<string, Desk>;
  #byPath: readonly (readonly [path: string, desk: Desk])[] = [];
  readonly #byDevice = new Map<string, Desk>();

  /** @param places of each desk's volumes, as the configuration has them. */
  constructor(places: readonly (readonly [desk: Desk, destinations: readonly string[]])[]) {
    this.#configured = new Map(places.flatMap(([desk, paths]) => paths.map((path) => [normal(Buffer.from(path).toString("latin1")), desk])));
  }

  get isEmpty(): boolean {
    return this.#configured.size === 0;
  }

  /** @param mountinfo the guest's. One that was mounted elsewhere than configured (by way of a link) goes to the first desk. */
  learn(mountinfo: string): void {
    const [first] = this.#configured.values();
    if (first === undefined) return;
    const found = [...mountinfo.matchAll(/^\d+ \d+ (\d+:\d+) \S+ (\S+) .* - fuse(?:\.\S+)? /gm)]
      .map(([, device = "", path = ""]) => [device, unescapeField(path)] as const)
      .filter(([, path]) => this.#configured.has(path) || (path !== "/" && !OWN.test(path)));
    for (const [device, path] of found) this.#byDevice.set(device, this.#configured.get(path) ?? first);
    // The innermost is found first.
    this.#byPath = found.map(([device, path]) => [path, this.#byDevice.get(device)!] as const).toSorted(([a], [b]) => b.length - a.length);
  }

  /** @param path absolute, as text of bytes. Links in it are not followed: what they lead to is asked for where the name lies. */
  at(path: string): Desk | undefined {
    const plain = isNormal(path) ? path : normal(path);
    return this.#byPath.find(([place]) => plain === place || (plain.startsWith(place) && plain[place.length] === "/"))?.[1];
  }

  /** Of an open file. */
  of(fd: number): Desk | undefined {
    if (this.#byDevice.size === 0) return undefined;
    look(fd);
    return this.ofDevice(looked.view.getUint32(OFFSET.major, true), looked.view.getUint32(OFFSET.minor, true));
  }

  /** Of what lies on a device. */
  ofDevice(major: number, minor: number): Desk | undefined {
    return this.#byDevice.size === 0 ? undefined : this.#byDevice.get(`${major}:${minor}`);
  }
}

function look(fd: number): void {
  const before = madeBy(undefined);
  statx(fd, EMPTY_PATH, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, TYPE_AND_MODE, looked.address);
  madeBy(before);
}

/** Of the file system of an open file, as mountinfo has it. */
export function deviceOf(fd: number): string {
  look(fd);
  return `${looked.view.getUint32(OFFSET.major, true)}:${looked.view.getUint32(OFFSET.minor, true)}`;
}

/** Type and permissions, as far as they are known without asking the file system. */
export function modeOf(fd: number): number {
  look(fd);
  return looked.view.getUint16(OFFSET.mode, true);
}

/** Most names are: the look is cheaper than taking them apart. */
const isNormal = (path: string): boolean => path.startsWith("/") && !path.includes("/.") && !path.includes("//") && !path.endsWith("/");

/** Without `.`, `..` and doubled slashes. */
export function normal(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}
