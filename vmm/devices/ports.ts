/**
 * Devices behind I/O ports. Any vCPU thread may touch them, so their state is words in shared memory, and each access is short: there is no
 * lock, and a guest that lets two vCPUs write to one register at once gets what it would get from hardware, one of the two values.
 */

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
