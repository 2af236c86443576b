import { denied, emulated, native } from "../row.ts";
import type { Area } from "../row.ts";

export const identity: Area = {
  title: "Identity",
  groups: [
    {
      reason: "Ids inside the guest's user namespace: its root is nobody on the host",
      names: "getuid geteuid getresuid getgid getegid getresgid getgroups setuid setreuid setresuid setfsuid setgid setregid setresgid setfsgid setgroups",
      outcome: native,
    },
    { reason: "Capabilities inside the guest's user namespace, bounded by what config.json gave", names: "capget capset", outcome: native },
  ],
};

export const signals: Area = {
  title: "Signals",
  groups: [
    { reason: "Handlers and masks of the calling task", names: "rt_sigaction rt_sigprocmask rt_sigpending rt_sigtimedwait rt_sigsuspend rt_sigreturn sigaltstack pause restart_syscall", outcome: native },
    { reason: "To tasks in the own pid namespace", names: "kill tgkill rt_sigqueueinfo rt_tgsigqueueinfo", outcome: native },
  ],
  forms: { tkill: "tgkill" },
};

export const time: Area = {
  title: "Time",
  groups: [
    { reason: "Reading clocks, most of it in the vDSO anyhow; uptime is the time namespace's", names: "clock_gettime clock_getres gettimeofday times", outcome: native },
    { reason: "Sleeping and timers of the calling process", names: "clock_nanosleep getitimer setitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete", outcome: native },
    { reason: "The host's clocks are not the guest's to set, nor how they are kept its to know", names: "settimeofday clock_settime adjtimex clock_adjtime", outcome: denied("EPERM") },
  ],
  forms: { nanosleep: "clock_nanosleep", time: "gettimeofday", alarm: "setitimer" },
};

export const scheduling: Area = {
  title: "Scheduling and limits",
  groups: [
    { reason: "Lowering is everybody's right; raising needs CAP_SYS_RESOURCE on the host", names: "prlimit64 getrusage", outcome: native },
    {
      reason: "Within the cpuset; more than an ordinary share needs CAP_SYS_NICE on the host",
      names: "sched_yield sched_getaffinity sched_setaffinity sched_getscheduler sched_setscheduler sched_getparam sched_get_priority_max sched_get_priority_min sched_rr_get_interval getcpu",
      outcome: native,
    },
    { reason: "The order of a task's own block I/O; better than ordinary needs CAP_SYS_NICE on the host", names: "ioprio_set ioprio_get", outcome: native },
    { reason: "Deadlines and utilisation: of no use inside a share of the processor", names: "sched_setattr sched_getattr rseq_slice_yield", outcome: denied("ENOSYS") },
  ],
  forms: { getrlimit: "prlimit64", setrlimit: "prlimit64", sched_setparam: "sched_setscheduler" },
};

export const machine: Area = {
  title: "The machine",
  groups: [
    { reason: "The sandbox's own kernel name and version, host and domain name", names: "uname", outcome: emulated },
    { reason: "Memory by the cgroup's limit, the sandbox's own uptime and number of tasks", names: "sysinfo", outcome: emulated },
    { reason: "Natively it waits for all file systems of the host. The sentry has the sandbox's own written back", names: "sync", outcome: emulated },
    { reason: "Random bytes", names: "getrandom", outcome: native },
    { reason: "Names are set by config.json, as for a container without CAP_SYS_ADMIN", names: "sethostname setdomainname", outcome: denied("EPERM") },
    { reason: "The host kernel's log", names: "syslog", outcome: denied("EPERM") },
    {
      reason: "Administers the machine",
      names: "reboot swapon swapoff acct quotactl quotactl_fd iopl ioperm kexec_load kexec_file_load init_module finit_module delete_module vhangup",
      outcome: denied("EPERM"),
    },
  ],
};
