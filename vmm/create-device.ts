/** From a device's configuration to the device. */
import { closeSync, fstatSync, openSync } from "node:fs";
import { O_DIRECTORY, O_PATH } from "../linux/abi/fcntl.ts";
import { open } from "../linux/file.ts";
import { setNonBlocking } from "../linux/fcntl.ts";
import { openTap, setTapOffload } from "../linux/kvm-tap.ts";
import { SAME_IDS } from "../gofer/hostfs/ownership.ts";
import { listenAt, type DeviceConfig, type FileConfig } from "./config.ts";
import { Balloon } from "./devices/balloon.ts";
import { Block } from "./devices/block.ts";
import { Console } from "./devices/console.ts";
import { Fs } from "./devices/fs.ts";
import { Net } from "./devices/net.ts";
import { RemoteFs } from "./devices/remote-fs.ts";
import { Rng } from "./devices/rng.ts";
import { Vsock } from "./devices/vsock/vsock.ts";
import { lendDirectory } from "./fuse-back-end.ts";
import type { Machine } from "./machine.ts";

/** @param flags of open(2), as Node writes them. @returns a descriptor that stays open. */
export function openFile(file: FileConfig, flags: string): number {
  return "fd" in file ? file.fd : openSync(file.path, flags);
}

/** Reads a file that is needed once. */
export function withFile<T>(file: FileConfig, use: (fd: number) => T): T {
  const fd = openFile(file, "r");
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function nonBlocking(fd: number): number {
  setNonBlocking(fd);
  return fd;
}

/** What is left out is not there, rather than undefined. */
function given<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> };
}

const PMEM_UNIT = 2 << 20;

/** @returns the device, where it can be told what to do later. */
export function addDevice(machine: Machine, config: DeviceConfig): Balloon | RemoteFs | undefined {
  switch (config.kind) {
    case "block": {
      const { kind: _kind, file, readOnly, ...limits } = config;
      machine.addDevice(new Block({ fd: openFile(file, readOnly ? "r" : "r+"), readOnly, ...given(limits) }));
      return undefined;
    }
    case "net": {
      const mac = Uint8Array.from(config.mac.split(":"), (byte) => Number.parseInt(byte, 16));
      const tap = typeof config.tap === "string" ? openTap(config.tap).release() : config.tap.fd;
      machine.addDevice(new Net({ tap, setOffload: (features) => setTapOffload(tap, features), mac, ...given({ mtu: config.mtu, bytesPerSecond: config.bytesPerSecond }) }));
      return undefined;
    }
    case "vsock":
      machine.addDevice(new Vsock({ cid: config.cid, listener: listenAt(config.socket), ...given({ path: "path" in config.socket ? config.socket.path : undefined }) }));
      return undefined;
    case "console": {
      const input = config.input === undefined ? undefined : nonBlocking(openFile(config.input, "r"));
      machine.addDevice(new Console({ output: nonBlocking(openFile(config.output, "a")), ...given({ input }) }));
      return undefined;
    }
    case "fs":
      machine.addDevice(new Fs(config.tag, lendDirectory({
        root: open(config.root, O_PATH | O_DIRECTORY), readOnly: config.readOnly, cache: "exclusive", ownership: SAME_IDS,
      })));
      return undefined;
    case "remote-fs": {
      const share = new RemoteFs(config.tag);
      if (config.fd !== undefined) share.attach(nonBlocking(config.fd));
      machine.addDevice(share);
      return share;
    }
    case "pmem": {
      const fd = openFile(config.file, config.readOnly ? "r" : "r+");
      machine.addPmem({ fd, readOnly: config.readOnly, size: Math.floor(fstatSync(fd).size / PMEM_UNIT) * PMEM_UNIT });
      return undefined;
    }
    case "rng":
      machine.addDevice(new Rng());
      return undefined;
    case "balloon": {
      const balloon = new Balloon((address, size) => machine.memory.discard(address, size));
      machine.addDevice(balloon);
      return balloon;
    }
    default: return config satisfies never;
  }
}
