/** The model-specific registers that a snapshot carries: those KVM says it has state in, in the order in which they can be set again. */
import type { FdLike } from "../../linux/fd.ts";
import { getMsrs, setMsrs } from "../../linux/kvm-vcpu.ts";
import type { Msr } from "../../linux/kvm-structs.ts";

const TSC_DEADLINE = 0x6e0;

/** Each alone: KVM stops at the first that it does not have. The deadline comes last, when the counter it is compared with is set. */
export function saveMsrs(vcpu: FdLike, indices: readonly number[]): Msr[] {
  const order = [...indices.filter((index) => index !== TSC_DEADLINE), ...indices.filter((index) => index === TSC_DEADLINE)];
  return order.flatMap((index) => getMsrs(vcpu, [index]));
}

/** Registers that are read only, or that this KVM does not let be set, keep their value. */
export function restoreMsrs(vcpu: FdLike, msrs: readonly Msr[]): void {
  for (let done = 0; done < msrs.length; done++) done += setMsrs(vcpu, msrs.slice(done));
}
