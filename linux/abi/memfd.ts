/** memfd_create(2). Source: Linux include/uapi/linux/memfd.h. */

export const MFD_CLOEXEC = 0x1;
export const MFD_ALLOW_SEALING = 0x2;
/** Since Linux 6.3. */
export const MFD_NOEXEC_SEAL = 0x8;
export const MFD_EXEC = 0x10;
