/** What ACPI's generic event device tells the guest: a register that is cleared by reading, and an interrupt. Source: ACPI 6.5, 5.6.9. */
import { addEvents, createEventFd } from "../../linux/eventfd.ts";
import { connectInterrupt } from "../../linux/kvm-vm.ts";
import type { Vm } from "../kvm/vm.ts";
import { EVENT_INTERRUPT } from "../layout.ts";

export class EventDevice {
  readonly #line = createEventFd();
  #pending = 0;

  constructor(vm: Vm) {
    connectInterrupt(vm.fd, this.#line, EVENT_INTERRUPT);
  }

  /** @param event EVENT_* of boot/acpi.ts. */
  raise(event: number): void {
    this.#pending |= event;
    addEvents(this.#line, 1n);
  }

  /** The guest reads the register. */
  take(): number {
    const pending = this.#pending;
    this.#pending = 0;
    return pending;
  }
}
