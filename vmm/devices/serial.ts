/**
 * A 16550A serial port, as Linux' 8250 driver needs it: the console before virtio. Source: National Semiconductor PC16550D, section 8
 * (registers); Linux drivers/tty/serial/8250/8250_port.c.
 *
 * Sending takes no time, so the transmitter is always empty. Received bytes wait in a ring.
 */
import { PORTS } from "../layout.ts";
import type { PortDevice } from "./ports.ts";

/** Words of the state, which is part of a snapshot. The ring follows them, one byte a word. */
const IER = 0;
const LCR = 1;
const MCR = 2;
const SCR = 3;
const DIVISOR_LOW = 4;
const DIVISOR_HIGH = 5;
const FCR = 6;
/** 1 from when the "transmitter empty" interrupt is due until IIR has told it. */
const EMPTY_DUE = 7;
const HEAD = 8;
const TAIL = 9;
const RING = 16;
const RING_SIZE = 256;

export const SERIAL_WORDS = RING + RING_SIZE;

const IER_RECEIVED = 1;
const IER_EMPTY = 2;
const LCR_DIVISOR = 0x80;
const MCR_LOOPBACK = 0x10;
const MCR_OUT2 = 0x08;
const LSR_RECEIVED = 0x01;
const LSR_EMPTY = 0x60;
const IIR_NONE = 0x01;
const IIR_EMPTY = 0x02;
const IIR_RECEIVED = 0x04;
const IIR_FIFO = 0xc0;
/** Carrier, data set ready, clear to send. */
const MSR_CONNECTED = 0xb0;

export interface SerialHost {
  /** One byte that the guest has sent. Must not block. */
  send(byte: number): void;
  /** An edge on the interrupt line. */
  interrupt(): void;
}

export class Serial implements PortDevice {
  readonly base = PORTS.serial;
  readonly length = 8;
  readonly #state: Int32Array;
  readonly #host: SerialHost;

  constructor(state: Int32Array, host: SerialHost) {
    this.#state = state;
    this.#host = host;
  }

  read(offset: number): number {
    switch (offset) {
      case 0: return this.#divisorShown() ? this.#get(DIVISOR_LOW) : this.#takeByte();
      case 1: return this.#get(this.#divisorShown() ? DIVISOR_HIGH : IER);
      case 2: return this.#identify();
      case 3: return this.#get(LCR);
      case 4: return this.#get(MCR);
      case 5: return LSR_EMPTY | (this.#hasInput() ? LSR_RECEIVED : 0);
      case 6: return this.#modemStatus();
      default: return this.#get(SCR);
    }
  }

  write(offset: number, value: number): void {
    switch (offset) {
      case 0: return this.#divisorShown() ? this.#set(DIVISOR_LOW, value) : this.#send(value);
      case 1: return this.#divisorShown() ? this.#set(DIVISOR_HIGH, value) : this.#enableInterrupts(value & 0x0f);
      case 2: return this.#set(FCR, value & 1);
      case 3: return this.#set(LCR, value);
      case 4: return this.#set(MCR, value & 0x1f);
      case 7: return this.#set(SCR, value);
      default: // LSR and MSR are read only
    }
  }

  /** A byte from the host's side. @returns false where the ring is full: the caller keeps the byte. */
  receive(byte: number): boolean {
    const head = this.#get(HEAD);
    if (((head + 1) % RING_SIZE) === this.#get(TAIL)) return false;
    this.#set(RING + head, byte);
    this.#set(HEAD, (head + 1) % RING_SIZE);
    if ((this.#get(IER) & IER_RECEIVED) !== 0) this.#host.interrupt();
    return true;
  }

  #send(byte: number): void {
    if ((this.#get(MCR) & MCR_LOOPBACK) !== 0) {
      this.receive(byte);
      return;
    }
    this.#host.send(byte);
    this.#emptied();
  }

  #emptied(): void {
    if ((this.#get(IER) & IER_EMPTY) === 0) return;
    this.#set(EMPTY_DUE, 1);
    this.#host.interrupt();
  }

  #enableInterrupts(value: number): void {
    const before = this.#get(IER);
    this.#set(IER, value);
    // Enabling it while the transmitter is empty is an event of its own (PC16550D, 8.6.1); Linux starts sending that way.
    if ((value & ~before & IER_EMPTY) !== 0) this.#emptied();
    if ((value & ~before & IER_RECEIVED) !== 0 && this.#hasInput()) this.#host.interrupt();
  }

  #identify(): number {
    const fifo = this.#get(FCR) === 0 ? 0 : IIR_FIFO;
    if ((this.#get(IER) & IER_RECEIVED) !== 0 && this.#hasInput()) return IIR_RECEIVED | fifo;
    if ((this.#get(IER) & IER_EMPTY) !== 0 && Atomics.exchange(this.#state, EMPTY_DUE, 0) === 1) return IIR_EMPTY | fifo;
    return IIR_NONE | fifo;
  }

  /** In loopback the four outputs of MCR appear as inputs, by which drivers tell a port that is there. */
  #modemStatus(): number {
    const control = this.#get(MCR);
    if ((control & MCR_LOOPBACK) === 0) return MSR_CONNECTED;
    return ((control & 0x02) << 3) | ((control & 0x01) << 5) | ((control & 0x04) << 4) | ((control & MCR_OUT2) << 4);
  }

  #takeByte(): number {
    if (!this.#hasInput()) return 0;
    const tail = this.#get(TAIL);
    const byte = this.#get(RING + tail);
    this.#set(TAIL, (tail + 1) % RING_SIZE);
    return byte;
  }

  #hasInput(): boolean {
    return this.#get(HEAD) !== this.#get(TAIL);
  }

  #divisorShown(): boolean {
    return (this.#get(LCR) & LCR_DIVISOR) !== 0;
  }

  #get(word: number): number {
    return Atomics.load(this.#state, word);
  }

  #set(word: number, value: number): void {
    Atomics.store(this.#state, word, value);
  }
}
