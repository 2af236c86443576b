/** Netlink message headers and socket options. Source: netlink(7), Linux include/uapi/linux/netlink.h. */

export const AF_NETLINK = 16;
export const NETLINK_ROUTE = 0;

export const NLM_F_REQUEST = 0x01;
export const NLM_F_MULTI = 0x02;
export const NLM_F_ACK = 0x04;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
/** The reply to a failed request leaves out its body. */
export const NLM_F_CAPPED = 0x100;
/** Attributes (`NLMSGERR_ATTR_*`) follow the error. */
export const NLM_F_ACK_TLVS = 0x200;

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export const NLMSGERR_ATTR_MSG = 1;

export const SOL_NETLINK = 270;
export const NETLINK_CAP_ACK = 10;
export const NETLINK_EXT_ACK = 11;
export const NETLINK_GET_STRICT_CHK = 12;

export const NLA_F_NESTED = 0x8000;
export const NLA_TYPE_MASK = 0x3fff;

/** Sizes of struct nlmsghdr, struct nlattr, struct sockaddr_nl. */
export const NLMSGHDR_SIZE = 16;
export const NLATTR_SIZE = 4;
export const SOCKADDR_NL_SIZE = 12;
