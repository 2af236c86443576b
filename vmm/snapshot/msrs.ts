/** The model-specific registers that a snapshot carries: those KVM says it has state in, in the order in which they can be set again. */
import type { FdLike } from "../../linux/fd.ts";
import { getMsrs, setMsrStruct } from "../../linux/kvm-vcpu.ts";
import { encodeMsrs, msrsFrom } from "../../linux/kvm-structs.ts";

const TSC_DEADLINE = 0x6e0;

/** As struct kvm_msrs. Each alone: KVM stops at the first that it does not have. The deadline comes last, when the counter it is compared with is set. */
export function saveMsrs(vcpu: FdLike, indices: readonly number[]): Uint8Array {
  const order = [...indices.filter((index) => index !== TSC_DEADLINE), ...indices.filter((index) => index === TSC_DEADLINE)];
  return encodeMsrs(order.flatMap((index) => getMsrs(vcpu, [index])));
}

/** Registers that are read only, or that this KVM does not let be set, keep their value. */
export function restoreMsrs(vcpu: FdLike, msrs: Uint8Array): void {
  for (let rest = msrs; rest.length > 0; ) rest = msrsFrom(rest, setMsrStruct(vcpu, rest) + 1);
}
