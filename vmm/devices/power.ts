/**
 * The two ways in which a guest ends its machine by a port: the keyboard controller's reset line, and ACPI's sleep control register.
 * Sources: IBM PC AT Technical Reference, keyboard controller (command 0xfe); ACPI 6.5, 4.8.3.7 (sleep control and status registers).
 */
import { PORTS } from "../layout.ts";
import type { PortDevice } from "./ports.ts";

export type PowerEvent = "reset" | "power-off";

const COMMAND_RESET = 0xfe;
const STATUS_EMPTY = 0;

/** As much of an i8042 as resets the processor. There is no keyboard: the DSDT and the FADT say so, too. */
export class KeyboardController implements PortDevice {
  readonly base = PORTS.keyboardData;
  readonly length = PORTS.keyboardCommand - PORTS.keyboardData + 1;
  readonly #onPower: (event: PowerEvent) => void;

  constructor(onPower: (event: PowerEvent) => void) {
    this.#onPower = onPower;
  }

  read(offset: number): number {
    return offset === PORTS.keyboardCommand - PORTS.keyboardData ? STATUS_EMPTY : 0;
  }

  write(offset: number, value: number): void {
    if (offset === PORTS.keyboardCommand - PORTS.keyboardData && value === COMMAND_RESET) this.#onPower("reset");
  }
}

const SLEEP_ENABLE = 0x20;
/** SLP_TYP of the state "off", as \_S5 in the DSDT names it. */
export const SLEEP_TYPE_OFF = 5;

export class SleepControl implements PortDevice {
  readonly base = PORTS.sleep;
  readonly length = 2;
  readonly #onPower: (event: PowerEvent) => void;

  constructor(onPower: (event: PowerEvent) => void) {
    this.#onPower = onPower;
  }

  read(): number {
    return 0;
  }

  write(offset: number, value: number): void {
    const type = (value >> 2) & 7;
    if (offset === 0 && (value & SLEEP_ENABLE) !== 0 && type === SLEEP_TYPE_OFF) this.#onPower("power-off");
  }
}
