/** CLONE_* of clone(2), but for namespaces (linux/namespace.ts). Source: Linux include/uapi/linux/sched.h. */
export const CLONE_VM = 0x100;
export const CLONE_FILES = 0x400;
export const CLONE_PARENT = 0x8000;
export const CLONE_PARENT_SETTID = 0x10_0000;
