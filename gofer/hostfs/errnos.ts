/** Errnos that only a file system answers. Source: Linux include/uapi/asm-generic/errno-base.h and errno.h. */
export const ENFILE = 23;
export const EFBIG = 27;
export const ESTALE = 116;
