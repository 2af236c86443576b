/** nf_tables and nfnetlink_log over netlink. Source: Linux include/uapi/linux/netfilter/{nfnetlink,nf_tables,nfnetlink_log}.h, netfilter.h. */

export const NETLINK_NETFILTER = 12;
export const NFPROTO_INET = 1;
export const NFPROTO_IPV4 = 2;
export const NFPROTO_IPV6 = 10;

/** Message types: the subsystem in the upper byte. */
export const NFNL_MSG_BATCH_BEGIN = 0x10;
export const NFNL_MSG_BATCH_END = 0x11;
export const NFNL_SUBSYS_ULOG = 4;
export const NFNL_SUBSYS_NFTABLES = 10;

export const NFT_MSG = { newTable: 0, deleteTable: 2, newChain: 3, newRule: 6, newSet: 9, newElement: 12, deleteElement: 14 } as const;

export const NFTA_LIST_ELEM = 1;
export const NFTA_TABLE_NAME = 1;
export const NFTA_CHAIN = { table: 1, name: 3, hook: 4, policy: 5, type: 7 } as const;
export const NFTA_HOOK = { hooknum: 1, priority: 2 } as const;
export const NFTA_RULE = { table: 1, chain: 2, expressions: 4 } as const;
export const NFTA_SET = { table: 1, name: 2, flags: 3, keyType: 4, keyLength: 5, id: 10 } as const;
export const NFTA_ELEMENTS = { table: 1, set: 2, elements: 3 } as const;
export const NFTA_ELEMENT = { key: 1, timeout: 4 } as const;
export const NFTA_EXPR = { name: 1, data: 2 } as const;
export const NFTA_DATA = { value: 1, verdict: 2 } as const;
export const NFTA_VERDICT_CODE = 1;

export const NF_INET_LOCAL_OUT = 3;
export const NF_DROP = 0;
export const NF_ACCEPT = 1;
export const NFT_SET_TIMEOUT = 0x10;

export const NFT_REG_VERDICT = 0;
export const NFT_REG_1 = 1;
export const NFT_META = { mark: 3, oif: 5, nfproto: 15, l4proto: 16 } as const;
export const NFT_CMP = { eq: 0, neq: 1, lte: 3, gte: 5 } as const;
export const NFT_PAYLOAD = { network: 1, transport: 2 } as const;
export const NFT_CT_STATE = 0;
/** Bits of the state. Source: nf_conntrack_common.h, NF_CT_STATE_BIT. */
export const CT_ESTABLISHED_OR_RELATED = 0b110;
export const NFT_REJECT_ICMPX = 2;
export const NFT_REJECT_ICMPX_ADMIN_PROHIBITED = 3;
export const NF_NAT_RANGE_PROTO_SPECIFIED = 2;

export const NFULNL_MSG_PACKET = 0;
export const NFULNL_MSG_CONFIG = 1;
export const NFULA_CFG = { command: 1, mode: 2, threshold: 5 } as const;
export const NFULNL_CFG_CMD_BIND = 1;
export const NFULNL_COPY_PACKET = 2;
export const NFULA_PAYLOAD = 9;
