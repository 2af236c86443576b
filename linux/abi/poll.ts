/** poll(2). Source: Linux include/uapi/asm-generic/poll.h. */

export const POLLIN = 0x001;
export const POLLPRI = 0x002;
export const POLLOUT = 0x004;
export const POLLERR = 0x008;
export const POLLHUP = 0x010;
export const POLLNVAL = 0x020;
export const POLLRDNORM = 0x040;
export const POLLWRNORM = 0x100;
export const POLLRDHUP = 0x2000;

/** Size of struct pollfd: descriptor, events, returned events. */
export const POLLFD_SIZE = 8;
