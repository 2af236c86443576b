import { bits, int, when } from "../checks.ts";
import { denied, native } from "../row.ts";
import type { Area } from "../row.ts";

const MAP_HUGETLB = 0x4_0000;
const MFD_HUGETLB = 0x4;
const SHM_HUGETLB = 0o4000;
const MADV_MERGEABLE = 12;

const hugePages = "the host's pool of huge pages is no sandbox's to take, and its code is reached by nothing else; as a kernel without it";

export const memory: Area = {
  title: "Memory of the process itself",
  groups: [
    {
      reason: `The memory of a task is the host task's memory, paid for by its cgroup. Without MAP_HUGETLB: ${hugePages}`,
      names: "mmap",
      cases: [when("flags with MAP_HUGETLB", [bits(3, MAP_HUGETLB, MAP_HUGETLB)], denied("EINVAL"))],
      outcome: native,
    },
    {
      reason: "Changes what the process has mapped; mlock and its kin within RLIMIT_MEMLOCK, since CAP_IPC_LOCK is asked of the host's namespace",
      names: "munmap pkey_mprotect brk mremap msync mincore mlock2 mlockall munlock munlockall",
      outcome: native,
    },
    {
      reason: "Protection keys of the process's own pages, which V8 puts its machine code under",
      names: "pkey_alloc pkey_free",
      outcome: native,
    },
    {
      reason: "Advice on own pages. Merging equal pages (KSM) would tell, by the time that a write takes, what other sandboxes have in memory",
      names: "madvise",
      cases: [when("MADV_MERGEABLE", [int(2, MADV_MERGEABLE)], denied("EINVAL"))],
      outcome: native,
    },
    {
      reason: `A file in memory, which may be executed as any file of the guest's tmpfs may. Without MFD_HUGETLB: ${hugePages}`,
      names: "memfd_create",
      cases: [when("flags with MFD_HUGETLB", [bits(1, MFD_HUGETLB, MFD_HUGETLB)], denied("EINVAL"))],
      outcome: native,
    },
    {
      reason: "Needed by threads, and by libraries that order memory between them",
      names: "membarrier",
      outcome: native,
    },
    {
      reason: "System V shared memory (PostgreSQL): bounded by the ipc namespace",
      names: "shmget",
      cases: [when("flags with SHM_HUGETLB", [bits(2, SHM_HUGETLB, SHM_HUGETLB)], denied("EPERM"))],
      outcome: native,
    },
    { reason: "System V shared memory (PostgreSQL): bounded by the ipc namespace", names: "shmat shmctl shmdt", outcome: native },
    {
      reason: "Placing memory on nodes: code with a history, for machines that a sandbox does not see. libnuma takes ENOSYS for a machine without nodes",
      names: "mbind set_mempolicy get_mempolicy migrate_pages move_pages set_mempolicy_home_node",
      outcome: denied("ENOSYS"),
    },
    {
      reason: "Handles page faults in user space: what most exploits of races in the kernel are built on, and few programs need",
      names: "userfaultfd",
      outcome: denied("ENOSYS"),
    },
    { reason: "Takes pages out of the kernel's own map, which slows down the whole host", names: "memfd_secret", outcome: denied("ENOSYS") },
    {
      reason: "Of no use to the programs that run here so far, and optional for those that know it",
      names: "process_madvise process_mrelease mseal map_shadow_stack remap_file_pages",
      outcome: denied("ENOSYS"),
    },
  ],
  forms: { mprotect: "pkey_mprotect", mlock: "mlock2" },
};
