/* What can be asked about the machine. A line for each answer: its name, and what was told, or `!` and an error. */
#include "probe.h"

#include <dirent.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/klog.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

static void tell(const char *name, const char *value) {
  printf("%s\t", name);
  print_escaped(value);
  printf("\n");
}

static void tell_number(const char *name, long long value) {
  char text[32];
  snprintf(text, sizeof text, "%lld", value);
  tell(name, text);
}

static void tell_error(const char *name) { printf("%s\t!%s\n", name, strerrorname_np(errno)); }

static void tell_file(const char *path) {
  static char text[1 << 16];
  int fd = open(path, O_RDONLY | O_NONBLOCK);
  if (fd < 0) return tell_error(path);
  size_t length = 0;
  for (ssize_t n; length < sizeof text - 1 && (n = read(fd, text + length, sizeof text - 1 - length)) > 0; length += n) {}
  close(fd);
  text[length] = 0;
  tell(path, text);
}

static void tell_names(const char *path) {
  static char text[1 << 14];
  DIR *directory = opendir(path);
  if (directory == NULL) return tell_error(path);
  size_t length = 0;
  for (struct dirent *e; (e = readdir(directory)) != NULL && length < sizeof text - 300;)
    if (e->d_name[0] != '.') length += sprintf(text + length, "%s ", e->d_name);
  closedir(directory);
  text[length] = 0;
  tell(path, text);
}

/* The note "Linux" of the vDSO holds LINUX_VERSION_CODE. Source: Linux arch/x86/entry/vdso/vdso-note.S. */
static void tell_vdso(void) {
  static const char wanted[] = "\6\0\0\0\4\0\0\0\0\0\0\0Linux\0\0\0";
  const char *image = (const char *)getauxval(AT_SYSINFO_EHDR);
  const char *note = image == NULL ? NULL : memmem(image, 4096, wanted, sizeof wanted - 1);
  if (note == NULL) return tell("vdso", "");
  uint32_t code;
  memcpy(&code, note + 20, sizeof code);
  char text[32];
  snprintf(text, sizeof text, "%u.%u", code >> 16, code >> 8 & 255);
  tell("vdso", text);
}

static void tell_clock(const char *name, clockid_t clock) {
  struct timespec t = {0};
  clock_gettime(clock, &t);
  tell_number(name, t.tv_sec);
}

static void tell_kernel_log(void) {
  enum { SYSLOG_ACTION_READ_ALL = 3 };
  static char text[1 << 15];
  int n = klogctl(SYSLOG_ACTION_READ_ALL, text, sizeof text - 1);
  if (n < 0) return tell_error("kernel log");
  tell("kernel log", text);
}

static const char *const files[] = {
  "/proc/version", "/proc/uptime", "/proc/stat", "/proc/meminfo", "/proc/cpuinfo", "/proc/loadavg", "/proc/cmdline", "/proc/partitions", "/proc/diskstats",
  "/proc/sys/kernel/random/boot_id", "/proc/self/mountinfo", "/proc/self/cgroup", "/proc/net/dev", "/proc/net/unix", "/proc/kallsyms", "/proc/modules", "/proc/interrupts",
  "/proc/softirqs", "/proc/schedstat", "/proc/timer_list", "/proc/vmstat", "/proc/config.gz", "/etc/machine-id", "/sys/class/dmi/id/product_uuid", "/sys/class/dmi/id/product_name",
  "/sys/devices/system/cpu/online", "/sys/class/powercap/intel-rapl:0/energy_uj", "/sys/class/net/lo/ifindex", "/sys/kernel/notes",
};

void leaks(void) {
  struct utsname name;
  uname(&name);
  tell("release", name.release);
  tell("build", name.version);
  tell("host name", name.nodename);
  struct sysinfo info;
  sysinfo(&info);
  tell_number("sysinfo uptime", info.uptime);
  tell_number("sysinfo memory", (long long)info.totalram * info.mem_unit);
  tell_clock("monotonic", CLOCK_MONOTONIC);
  tell_clock("boottime", CLOCK_BOOTTIME);
  cpu_set_t set;
  sched_getaffinity(0, sizeof set, &set);
  tell_number("affinity", CPU_COUNT(&set));
  tell_vdso();
  tell_kernel_log();
  tell_names("/proc");
  tell_names("/sys/class/net");
  tell_names("/sys/block");
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) tell_file(files[i]);
}
