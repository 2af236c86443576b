/**
 * /proc/sys: what programs read of it, with the kernel's default values or the sandbox's own. Of the host's there is only `net`, which
 * belongs to the guest's network namespace. Sources: proc_sys(5), Linux Documentation/admin-guide/sysctl.
 */
import { randomUuid } from "../../linux/random.ts";
import { IDENTITY, type Uts } from "../kernel.ts";
import type { Machine } from "../machine.ts";
import { directory, type SyntheticDirectory } from "../../gofer/synthetic.ts";
import { constant, line } from "./lines.ts";

/** @param set values that the configuration has set, by the name of sysctl(8). */
export function procSys(machine: Machine, uts: Uts, set: Readonly<Record<string, string>>): SyntheticDirectory {
  const settable = (name: string, value: string | number) => constant(set[name] ?? value);
  return directory({
    fs: directory({
      "aio-max-nr": constant(65536),
      "file-max": constant("9223372036854775807"),
      "file-nr": constant("1024\t0\t9223372036854775807"),
      inotify: directory({ max_queued_events: constant(16384), max_user_instances: constant(128), max_user_watches: constant(65536) }),
      mqueue: directory({ msg_max: constant(10), msgsize_max: constant(8192), queues_max: constant(256) }),
      nr_open: constant(1048576),
      overflowgid: constant(65534),
      overflowuid: constant(65534),
      "pipe-max-size": constant(1048576),
      protected_hardlinks: constant(1),
      protected_symlinks: constant(1),
      suid_dumpable: constant(0),
    }),
    kernel: directory({
      cap_last_cap: constant(40),
      core_pattern: constant("core"),
      core_uses_pid: constant(0),
      domainname: line(() => uts.domainname),
      hostname: line(() => uts.nodename),
      io_uring_disabled: constant(2),
      keys: directory({ maxbytes: constant(0), maxkeys: constant(0) }),
      msgmax: settable("kernel.msgmax", 8192),
      msgmnb: settable("kernel.msgmnb", 16384),
      msgmni: settable("kernel.msgmni", 32000),
      ngroups_max: constant(65536),
      osrelease: constant(IDENTITY.release),
      ostype: constant(IDENTITY.sysname),
      overflowgid: constant(65534),
      overflowuid: constant(65534),
      perf_event_paranoid: constant(4),
      pid_max: constant(4194304),
      random: directory({
        boot_id: line(() => machine.chassis.bootId),
        entropy_avail: constant(256),
        poolsize: constant(256),
        urandom_min_reseed_secs: constant(60),
        uuid: line(() => randomUuid()),
        write_wakeup_threshold: constant(256),
      }),
      randomize_va_space: constant(2),
      sched_rt_period_us: constant(1000000),
      sched_rt_runtime_us: constant(950000),
      seccomp: directory({ actions_avail: constant("kill_process kill_thread trap errno trace log allow") }),
      sem: settable("kernel.sem", "32000\t1024000000\t500\t32000"),
      shmall: settable("kernel.shmall", "18446744073692774399"),
      shmmax: settable("kernel.shmmax", "18446744073692774399"),
      shm_rmid_forced: settable("kernel.shm_rmid_forced", 0),
      shmmni: settable("kernel.shmmni", 4096),
      tainted: constant(0),
      "threads-max": constant(4194304),
      unprivileged_bpf_disabled: constant(2),
      version: constant(IDENTITY.version),
    }),
    /** The mount point of the network namespace's own. */
    net: directory({}),
    vm: directory({
      legacy_va_layout: constant(0),
      max_map_count: constant(65530),
      memfd_noexec: constant(0),
      min_free_kbytes: constant(67584),
      mmap_min_addr: constant(65536),
      mmap_rnd_bits: constant(28),
      nr_hugepages: constant(0),
      nr_overcommit_hugepages: constant(0),
      overcommit_memory: constant(0),
      overcommit_ratio: constant(50),
      swappiness: constant(60),
      unprivileged_userfaultfd: constant(0),
      vfs_cache_pressure: constant(100),
    }),
  });
}
