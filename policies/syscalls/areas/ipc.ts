import { denied, native } from "../row.ts";
import type { Area } from "../row.ts";

export const ipc: Area = {
  title: "System V and POSIX IPC",
  groups: [
    { reason: "Semaphores and messages (PostgreSQL, fakeroot): bounded by the ipc namespace", names: "semget semctl semtimedop msgget msgsnd msgrcv msgctl", outcome: native },
    { reason: "POSIX message queues: code with a history, for hardly any program", names: "mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr", outcome: denied("ENOSYS") },
  ],
  forms: { semop: "semtimedop" },
};

export const kernel: Area = {
  title: "Kernel subsystems left out",
  groups: [
    { reason: "Programs in the kernel", names: "bpf", outcome: denied("EPERM") },
    { reason: "Performance counters, which also measure others", names: "perf_event_open", outcome: denied("EPERM") },
    { reason: "Keyrings are counted by host user; libraries take ENOSYS for a kernel without them", names: "add_key request_key keyctl", outcome: denied("ENOSYS") },
    { reason: "Which security modules the host has", names: "lsm_get_self_attr lsm_set_self_attr lsm_list_modules", outcome: denied("ENOSYS") },
    {
      reason: "Segments of old 16- and 32-bit programs, which do not run here",
      names: "modify_ldt set_thread_area get_thread_area",
      outcome: denied("ENOSYS"),
    },
    {
      reason: "Obsolete: gone from the kernel, never in it, or replaced long ago",
      names:
        "uselib ustat sysfs _sysctl create_module get_kernel_syms query_module nfsservctl getpmsg putpmsg afs_syscall tuxcall security " +
        "lookup_dcookie epoll_ctl_old epoll_wait_old vserver",
      outcome: denied("ENOSYS"),
    },
  ],
};
