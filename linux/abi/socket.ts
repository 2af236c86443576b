/** Sockets. Sources: Linux include/linux/socket.h, include/linux/net.h, include/uapi/asm-generic/socket.h, include/uapi/linux/un.h. */

export const AF_UNSPEC = 0;
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_SEQPACKET = 5;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;

export const MSG_OOB = 0x1;
export const MSG_PEEK = 0x2;
export const MSG_DONTROUTE = 0x4;
export const MSG_CTRUNC = 0x8;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_EOR = 0x80;
export const MSG_WAITALL = 0x100;
export const MSG_CONFIRM = 0x800;
export const MSG_ERRQUEUE = 0x2000;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_MORE = 0x8000;
export const MSG_WAITFORONE = 0x1_0000;
export const MSG_CMSG_CLOEXEC = 0x4000_0000;

export const SOL_SOCKET = 1;
export const SCM_RIGHTS = 1;
export const SCM_CREDENTIALS = 2;

export const SHUT = { read: 0, write: 1, both: 2 } as const;

/** struct sockaddr_storage. */
export const ADDRESS_SIZE = 128;
/** struct msghdr. */
export const MSGHDR = { name: 0, nameSize: 8, vectors: 16, vectorCount: 24, control: 32, controlSize: 40, flags: 48, size: 56 } as const;
/** struct cmsghdr; the data follow, and the next one begins at a multiple of 8. */
export const CMSG = { length: 0, level: 8, type: 12, data: 16 } as const;
/** struct ucred. */
export const UCRED = { pid: 0, uid: 4, gid: 8, size: 12 } as const;

/** Commands that tell of a network interface, but for SIOCGIFCONF, which lists them. Source: netdevice(7), linux/sockios.h. */
export const INTERFACE_COMMANDS = {
  SIOCGIFNAME: 0x8910,
  SIOCGIFFLAGS: 0x8913,
  SIOCGIFADDR: 0x8915,
  SIOCGIFDSTADDR: 0x8917,
  SIOCGIFBRDADDR: 0x8919,
  SIOCGIFNETMASK: 0x891b,
  SIOCGIFMETRIC: 0x891d,
  SIOCGIFMTU: 0x8921,
  SIOCGIFHWADDR: 0x8927,
  SIOCGIFINDEX: 0x8933,
  SIOCGIFTXQLEN: 0x8942,
} as const;
export const SIOCGIFCONF = 0x8912;
