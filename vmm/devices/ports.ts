/** Devices behind I/O ports. Each access is short: the vCPU that makes it waits, and the other devices do. */

export interface PortDevice {
  readonly base: number;
  readonly length: number;
  read(offset: number): number;
  write(offset: number, value: number): void;
}

/** Finds the device of a port. A port without one reads as all ones, and swallows writes, as an ISA bus does. */
export class PortBus {
  readonly #devices = new Map<number, PortDevice>();

  constructor(devices: readonly PortDevice[]) {
    for (const device of devices) {
      for (let port = device.base; port < device.base + device.length; port++) this.#devices.set(port, device);
    }
  }

  /** Fills `data`, one or more accesses of `size` bytes each. */
  read(port: number, size: number, data: Uint8Array): void {
    for (let i = 0; i < data.length; i++) {
      const at = port + (i % size);
      const device = this.#devices.get(at);
      data[i] = device === undefined ? 0xff : device.read(at - device.base);
    }
  }

  write(port: number, size: number, data: Uint8Array): void {
    for (let i = 0; i < data.length; i++) {
      const at = port + (i % size);
      const device = this.#devices.get(at);
      device?.write(at - device.base, data[i] ?? 0);
    }
  }
}
