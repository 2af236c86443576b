/** Modes and mode flags of set_mempolicy(2). Source: Linux include/uapi/linux/mempolicy.h. */

export const MPOL_DEFAULT = 0;
export const MPOL_PREFERRED = 1;
export const MPOL_BIND = 2;
export const MPOL_INTERLEAVE = 3;
export const MPOL_LOCAL = 4;
/** Since Linux 5.15. */
export const MPOL_PREFERRED_MANY = 5;
/** Since Linux 6.9. */
export const MPOL_WEIGHTED_INTERLEAVE = 6;

export const MPOL_F_NUMA_BALANCING = 1 << 13;
export const MPOL_F_RELATIVE_NODES = 1 << 14;
export const MPOL_F_STATIC_NODES = 1 << 15;
