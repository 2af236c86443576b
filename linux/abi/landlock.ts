/** Landlock's access rights and structs. Source: Linux include/uapi/linux/landlock.h, Documentation/userspace-api/landlock.rst. */

export const LANDLOCK_CREATE_RULESET_VERSION = 1;
export const LANDLOCK_RULE_PATH_BENEATH = 1;
export const LANDLOCK_RULE_NET_PORT = 2;

export const LANDLOCK_ACCESS_FS_EXECUTE = 1 << 0;
export const LANDLOCK_ACCESS_FS_WRITE_FILE = 1 << 1;
export const LANDLOCK_ACCESS_FS_READ_FILE = 1 << 2;
export const LANDLOCK_ACCESS_FS_READ_DIR = 1 << 3;
export const LANDLOCK_ACCESS_FS_REMOVE_DIR = 1 << 4;
export const LANDLOCK_ACCESS_FS_REMOVE_FILE = 1 << 5;
export const LANDLOCK_ACCESS_FS_MAKE_CHAR = 1 << 6;
export const LANDLOCK_ACCESS_FS_MAKE_DIR = 1 << 7;
export const LANDLOCK_ACCESS_FS_MAKE_REG = 1 << 8;
export const LANDLOCK_ACCESS_FS_MAKE_SOCK = 1 << 9;
export const LANDLOCK_ACCESS_FS_MAKE_FIFO = 1 << 10;
export const LANDLOCK_ACCESS_FS_MAKE_BLOCK = 1 << 11;
export const LANDLOCK_ACCESS_FS_MAKE_SYM = 1 << 12;
/** ABI 2, Linux 5.19. */
export const LANDLOCK_ACCESS_FS_REFER = 1 << 13;
/** ABI 3, Linux 6.2. */
export const LANDLOCK_ACCESS_FS_TRUNCATE = 1 << 14;
/** ABI 5, Linux 6.10. */
export const LANDLOCK_ACCESS_FS_IOCTL_DEV = 1 << 15;

/** ABI 4, Linux 6.7. */
export const LANDLOCK_ACCESS_NET_BIND_TCP = 1 << 0;
export const LANDLOCK_ACCESS_NET_CONNECT_TCP = 1 << 1;

/** ABI 6, Linux 6.12. */
export const LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0;
export const LANDLOCK_SCOPE_SIGNAL = 1 << 1;

/** Sizes of struct landlock_ruleset_attr (of ABI 1, 4 and 6), landlock_path_beneath_attr (packed), landlock_net_port_attr. */
export const RULESET_ATTR_SIZE = { fs: 8, net: 16, scoped: 24 } as const;
export const PATH_BENEATH_ATTR_SIZE = 12;
export const NET_PORT_ATTR_SIZE = 16;
