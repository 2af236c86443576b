/** Why KVM_RUN returned, from struct kvm_run. Source: Linux Documentation/virt/kvm/api.rst, "The kvm_run structure". */
import * as kvm from "../../linux/abi/kvm.ts";
import { RUN } from "../../linux/kvm-structs.ts";
import { join64 } from "../memory.ts";

export type Exit =
  /** `count` accesses of `size` bytes each to one port, the data at `dataOffset` of the mapping. */
  | { readonly kind: "io"; readonly port: number; readonly size: number; readonly count: number; readonly isWrite: boolean; readonly dataOffset: number }
  /** One access of 1 to 8 bytes, the data at RUN.mmio.data. */
  | { readonly kind: "mmio"; readonly address: number; readonly size: number; readonly isWrite: boolean }
  | { readonly kind: "halt" }
  /** A triple fault. */
  | { readonly kind: "shutdown" }
  | { readonly kind: "interrupted" }
  | { readonly kind: "system-event"; readonly type: number }
  /** The processor refused the guest's state. */
  | { readonly kind: "fail-entry"; readonly reason: number }
  /** KVM could not emulate what the guest did. */
  | { readonly kind: "internal-error"; readonly suberror: number; readonly data: readonly number[] }
  | { readonly kind: "unknown"; readonly reason: number };

export const INTERRUPTED: Exit = { kind: "interrupted" };

export function decodeExit(run: DataView): Exit {
  const reason = run.getUint32(RUN.exitReason, true);
  switch (reason) {
    case kvm.KVM_EXIT_IO:
      return {
        kind: "io", port: run.getUint16(RUN.io.port, true), size: run.getUint8(RUN.io.size), count: run.getUint32(RUN.io.count, true),
        isWrite: run.getUint8(RUN.io.direction) === kvm.KVM_EXIT_IO_OUT, dataOffset: run.getUint32(RUN.io.dataOffset, true),
      };
    case kvm.KVM_EXIT_MMIO:
      return {
        kind: "mmio", address: join64(run.getUint32(RUN.mmio.address, true), run.getUint32(RUN.mmio.address + 4, true)),
        size: run.getUint32(RUN.mmio.length, true), isWrite: run.getUint8(RUN.mmio.isWrite) !== 0,
      };
    case kvm.KVM_EXIT_HLT: return { kind: "halt" };
    case kvm.KVM_EXIT_SHUTDOWN: return { kind: "shutdown" };
    case kvm.KVM_EXIT_INTR: return INTERRUPTED;
    case kvm.KVM_EXIT_SYSTEM_EVENT: return { kind: "system-event", type: run.getUint32(RUN.systemEvent.type, true) };
    case kvm.KVM_EXIT_FAIL_ENTRY: return { kind: "fail-entry", reason: run.getUint32(RUN.hardwareExitReason, true) };
    case kvm.KVM_EXIT_INTERNAL_ERROR: return internalError(run);
    default: return { kind: "unknown", reason };
  }
}

const MAX_ERROR_WORDS = 16;

function internalError(run: DataView): Exit {
  const count = Math.min(run.getUint32(RUN.internal.count, true), MAX_ERROR_WORDS);
  const data = Array.from({ length: count }, (_, i) => Number(run.getBigUint64(RUN.internal.data + i * 8, true)));
  return { kind: "internal-error", suberror: run.getUint32(RUN.internal.suberror, true), data };
}

/** An exit in words, for a log. */
export function describeExit(exit: Exit): string {
  return Object.entries(exit).map(([name, value]) => (name === "kind" ? String(value) : `${name} ${format(value)}`)).join(", ");
}

function format(value: unknown): string {
  return typeof value === "number" ? `0x${value.toString(16)}` : Array.isArray(value) ? value.map(format).join(" ") : String(value);
}
