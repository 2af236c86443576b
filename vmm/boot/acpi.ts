/**
 * The ACPI tables of the machine: RSDP -> XSDT -> FADT (-> DSDT), MADT. Hardware-reduced ACPI: no SCI, no PM timer, no legacy interrupt
 * controller; a generic event device brings events. Source: ACPI 6.5, chapter 5.
 */
import {
  and, device, edgeInterrupt, eisaId, fixedMemory, ifTrue, integer, LOCAL0, memoryWord, method, name, named, notify, packageOf, ports, resources,
  scope, store, string, type Aml,
} from "./aml.ts";
import { BOOT, EVENT_INTERRUPT, EVENT_REGISTER, IOAPIC, LOCAL_APIC, PORTS, VIRTIO_INTERRUPTS, VIRTIO_WINDOW_SIZE } from "../layout.ts";
import { SLEEP_TYPE_OFF } from "../devices/power.ts";

/** Events of the register at EVENT_REGISTER, which reading clears. */
export const EVENT_POWER_BUTTON = 1;
export const EVENT_NEW_GENERATION = 2;

export interface VirtioWindow {
  readonly address: number;
  readonly interrupt: number;
}

export interface AcpiMachine {
  readonly vcpus: number;
  readonly windows: readonly VirtioWindow[];
}

const HEADER = 36;

/** A table with header and checksum (5.2.6). */
function table(signature: string, revision: number, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEADER + body.length);
  bytes.write(signature, 0, "latin1");
  bytes.writeUInt32LE(bytes.length, 4);
  bytes.writeUInt8(revision, 8);
  bytes.write("TSSBOXTSSANDBOX", 10, "latin1");
  bytes.writeUInt32LE(1, 24);
  bytes.write("TSSB", 28, "latin1");
  bytes.writeUInt32LE(1, 32);
  bytes.set(body, HEADER);
  bytes.writeUInt8(checksum(bytes), 9);
  return bytes;
}

/** The byte that makes all bytes add up to 0. */
function checksum(bytes: Uint8Array): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}

/** The devices that nothing else announces. */
function dsdt({ windows }: AcpiMachine): Buffer {
  const terms: Aml[] = [
    ...windows.map(({ address, interrupt }, i) => device(`VR${String(i).padStart(2, "0")}`,
      named("_HID", string("LNRO0005")), named("_UID", integer(i)), named("_CCA", integer(1)),
      resources(fixedMemory(address, VIRTIO_WINDOW_SIZE), edgeInterrupt(interrupt, windows.length > VIRTIO_INTERRUPTS.length)))),
    device("COM1", named("_HID", eisaId("PNP0501")), named("_UID", integer(0)), resources(ports(PORTS.serial, 8), edgeInterrupt(PORTS.serialInterrupt))),
    device("RTC", named("_HID", eisaId("PNP0B00")), resources(ports(PORTS.rtc, 2))),
    device("PWRB", named("_HID", eisaId("PNP0C0C")), named("_UID", integer(0))),
    device("VGEN", named("_HID", string("TSSB0001")), named("_CID", string("VM_Gen_Counter")), named("_DDN", string("VM_Gen_Counter")),
      named("ADDR", packageOf(integer(BOOT.generationId), integer(0)))),
    eventDevice(),
  ];
  const sleepOff = named("\\_S5", packageOf(integer(SLEEP_TYPE_OFF), integer(0), integer(0), integer(0)));
  return table("DSDT", 2, new Uint8Array([...scope("\\_SB", ...terms), ...sleepOff]));
}

/** The generic event device (5.6.9): its interrupt makes the guest read the register and notify whom it names. */
function eventDevice(): Aml {
  return device("GED", named("_HID", string("ACPI0013")), named("_UID", integer(0)), resources(edgeInterrupt(EVENT_INTERRUPT)),
    memoryWord("EREG", "EVTS", EVENT_REGISTER),
    method("_EVT", 1,
      store(name("EVTS"), LOCAL0),
      ifTrue(and(LOCAL0, integer(EVENT_POWER_BUTTON)), notify("\\_SB.PWRB", 0x80)),
      ifTrue(and(LOCAL0, integer(EVENT_NEW_GENERATION)), notify("\\_SB.VGEN", 0x80))));
}

/** FADT flags (5.2.9, table 5.10). */
const RESET_REGISTER_SUPPORTED = 1 << 10;
const HEADLESS = 1 << 12;
const HARDWARE_REDUCED = 1 << 20;
/** IA-PC boot architecture flags (table 5.11): no VGA, no MSI restriction, no PCIe ASPM. i8042 bit stays 0: no keyboard to probe. */
const NO_VGA = 1 << 2;

/** A generic address in I/O space, one byte wide (5.2.3.2). */
const ioByte = (port: number) => [1, 8, 0, 1, port & 0xff, port >>> 8, 0, 0, 0, 0, 0, 0];

/** An offset in a table as one in its body. */
const at = (offset: number) => offset - HEADER;

function fadt(dsdtAddress: number): Buffer {
  const body = Buffer.alloc(at(276));
  body.writeUInt32LE(dsdtAddress, at(40));
  body.writeUInt16LE(NO_VGA, at(109));
  body.writeUInt32LE(RESET_REGISTER_SUPPORTED | HEADLESS | HARDWARE_REDUCED, at(112));
  body.set(ioByte(PORTS.keyboardCommand), at(116));
  body.writeUInt8(0xfe, at(128));
  body.writeUInt8(5, at(131)); // minor version
  body.writeBigUInt64LE(BigInt(dsdtAddress), at(140));
  body.set(ioByte(PORTS.sleep), at(244));
  body.set(ioByte(PORTS.sleep + 1), at(256));
  body.write("TSSANDBX", at(268), "latin1"); // hypervisor vendor identity
  return table("FACP", 6, body);
}

/** A local APIC for each vCPU, and the IOAPIC (5.2.12). */
function madt({ vcpus }: AcpiMachine): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(LOCAL_APIC, 0);
  const locals = Array.from({ length: vcpus }, (_, id) => Buffer.from([0, 8, id, id, 1, 0, 0, 0]));
  const ioapic = Buffer.from([1, 12, vcpus, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  ioapic.writeUInt32LE(IOAPIC, 4);
  return table("APIC", 5, Buffer.concat([header, ...locals, ioapic]));
}

function xsdt(addresses: readonly number[]): Buffer {
  const body = Buffer.alloc(addresses.length * 8);
  for (const [i, address] of addresses.entries()) body.writeBigUInt64LE(BigInt(address), i * 8);
  return table("XSDT", 1, body);
}

/** The root pointer (5.2.5.3): the first checksum covers 20 bytes, the second all 36. */
function rsdp(xsdtAddress: number): Buffer {
  const bytes = Buffer.alloc(36);
  bytes.write("RSD PTR ", 0, "latin1");
  bytes.write("TSSBOX", 9, "latin1");
  bytes.writeUInt8(2, 15);
  bytes.writeUInt32LE(36, 20);
  bytes.writeBigUInt64LE(BigInt(xsdtAddress), 24);
  bytes.writeUInt8(checksum(bytes.subarray(0, 20)), 8);
  bytes.writeUInt8(checksum(bytes), 32);
  return bytes;
}

/** All tables as one piece that belongs at BOOT.acpi, where the root pointer is. @throws RangeError where they do not fit. */
export function acpiTables(machine: AcpiMachine): Uint8Array {
  const pieces: Buffer[] = [];
  let next = BOOT.acpi + 64;
  const place = (piece: Buffer): number => {
    const address = next;
    pieces.push(Buffer.concat([piece, Buffer.alloc(-piece.length & 15)]));
    next += (piece.length + 15) & ~15;
    return address;
  };
  const fadtAddress = place(fadt(place(dsdt(machine))));
  const root = rsdp(place(xsdt([fadtAddress, place(madt(machine))])));
  if (next > BOOT.acpiEnd) throw new RangeError("the ACPI tables do not fit");
  return Buffer.concat([root, Buffer.alloc(64 - root.length), ...pieces]);
}
