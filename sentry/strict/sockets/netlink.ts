/** What a guest may ask of netlink's routes: to be told. Source: rtnetlink(7), netlink(7). */
import { EPERM } from "../../../linux/abi/errno.ts";
import type { Block } from "../../../linux/memory.unsafe.ts";

/** struct nlmsghdr. */
const HEADER = { length: 0, type: 4, size: 16 } as const;
/** NLMSG_NOOP, NLMSG_DONE, and the RTM_GET* of links, addresses, routes, neighbours and rules. */
const ASKING: readonly number[] = [1, 3, 18, 22, 26, 30, 34];

/** Of the `size` bytes at the block's start. @returns -EPERM where one of them would change something, or is not known. */
export function checkRouteRequests({ view }: Block, size: number): number {
  for (let at = 0; at + HEADER.size <= size; ) {
    const length = view.getUint32(at + HEADER.length, true);
    // The kernel looks neither at such a one nor at anything behind it. Source: Linux net/netlink/af_netlink.c, netlink_rcv_skb.
    if (length < HEADER.size || length > size - at) return 0;
    if (!ASKING.includes(view.getUint16(at + HEADER.type, true))) return -EPERM;
    at += (length + 3) & ~3;
  }
  return 0;
}
