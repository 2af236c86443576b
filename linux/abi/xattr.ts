/** setxattr(2). Source: Linux include/uapi/linux/xattr.h, limits.h. */

export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;
/** Bytes, of one value and of a whole list of names. */
export const XATTR_SIZE_MAX = 65536;
export const XATTR_LIST_MAX = 65536;
