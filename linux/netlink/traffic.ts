/** Traffic control, as far as it passes packets from one link to another. Sources: tc(8), tc-u32(8), tc-mirred(8), Linux include/uapi/linux/pkt_sched.h, pkt_cls.h, tc_act/tc_mirred.h. */
import { EINVAL, ENOENT } from "../abi/errno.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../abi/netlink.ts";
import { isErrno } from "../errors.ts";
import { attribute, concat, nestedAttribute, textAttribute, viewOf } from "./message.ts";
import type { RouteSocket } from "./route-socket.ts";

const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
const RTM_NEWTFILTER = 44;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TC_H_INGRESS = 0xfffffff1;
const INGRESS_HANDLE = 0xffff0000;
/** Priority 1, and ETH_P_ALL in network order. */
const ALL_PROTOCOLS = (1 << 16) | 0x0300;
const TCA_U32_SEL = 5;
const TCA_U32_ACT = 7;
const TC_U32_TERMINAL = 1;
const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
const TCA_MIRRED_PARMS = 2;
const TC_ACT_STOLEN = 4;
const TCA_EGRESS_REDIR = 1;

/** struct tcmsg. */
function header(link: number, fields: { readonly handle?: number; readonly parent: number; readonly info?: number }): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = viewOf(bytes);
  view.setInt32(4, link, true);
  view.setUint32(8, fields.handle ?? 0, true);
  view.setUint32(12, fields.parent, true);
  view.setUint32(16, fields.info ?? 0, true);
  return bytes;
}

/** struct tc_u32_sel with one key, whose mask is zero: every packet. */
function everyPacket(): Uint8Array {
  const bytes = new Uint8Array(32);
  bytes.set([TC_U32_TERMINAL, 0, 1]);
  return attribute(TCA_U32_SEL, bytes);
}

/** struct tc_mirred: out by `link`, and nowhere else. */
function redirection(link: number): Uint8Array {
  const bytes = new Uint8Array(28);
  const view = viewOf(bytes);
  view.setInt32(8, TC_ACT_STOLEN, true);
  view.setInt32(20, TCA_EGRESS_REDIR, true);
  view.setUint32(24, link, true);
  return attribute(TCA_MIRRED_PARMS, bytes);
}

/**
 * From now on, what link `from` receives leaves by link `to`, and the namespace's own network code does not see it. In the place of
 * any such rule of before.
 * @throws SysError ENOENT where the kernel has neither sch_ingress, cls_u32 nor act_mirred; EPERM.
 */
export function redirectAll(socket: RouteSocket, from: number, to: number): void {
  const ingress = header(from, { handle: INGRESS_HANDLE, parent: TC_H_INGRESS });
  try {
    socket.change(RTM_DELQDISC, 0, ingress, `delete ingress of link ${from}`);
  } catch (error) {
    // There was none.
    if (!isErrno(error, ENOENT, EINVAL)) throw error;
  }
  socket.change(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, concat([ingress, textAttribute(TCA_KIND, "ingress")]), `ingress of link ${from}`);
  const action = nestedAttribute(1, [textAttribute(TCA_ACT_KIND, "mirred"), nestedAttribute(TCA_ACT_OPTIONS, [redirection(to)])]);
  const options = nestedAttribute(TCA_OPTIONS, [everyPacket(), nestedAttribute(TCA_U32_ACT, [action])]);
  const body = concat([header(from, { parent: INGRESS_HANDLE, info: ALL_PROTOCOLS }), textAttribute(TCA_KIND, "u32"), options]);
  socket.change(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, body, `redirect link ${from} to ${to}`);
}
