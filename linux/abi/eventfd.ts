/** eventfd(2). Source: Linux include/uapi/linux/eventfd.h. */

export const EFD_SEMAPHORE = 1;
export const EFD_NONBLOCK = 0o4000;
export const EFD_CLOEXEC = 0o2000000;
