"""What can be asked about the machine, as JSON: inside a sandbox, and on the host (argument `host`), to compare."""
import ctypes, json, os, re, resource, socket, struct, sys, time


def read(path):
    try:
        with open(path, errors="replace") as file: return file.read(65536)
    except OSError as error: return os.strerror(error.errno)


def names(path):
    try: return sorted(os.listdir(path))
    except OSError as error: return os.strerror(error.errno)


def field(path, pattern):
    found = re.search(pattern, read(path), re.M)
    return found.group(1) if found else None


def vdso_version():
    """The ELF note "Linux" of the vDSO holds LINUX_VERSION_CODE. AT_SYSINFO_EHDR is 33."""
    base = ctypes.CDLL(None).getauxval
    base.restype, base.argtypes = ctypes.c_ulong, [ctypes.c_ulong]
    image = ctypes.string_at(base(33), 4096)
    at = image.find(struct.pack("<III", 6, 4, 0) + b"Linux\0")
    code = struct.unpack_from("<I", image, at + 20)[0] if at >= 0 else 0
    return f"{code >> 16}.{code >> 8 & 255}"


class Sysinfo(ctypes.Structure):
    _fields_ = [("uptime", ctypes.c_long), ("loads", ctypes.c_ulong * 3), ("total", ctypes.c_ulong), ("more", ctypes.c_ulong * 4), ("swap", ctypes.c_ulong), ("rest", ctypes.c_char * 64)]


sysinfo = Sysinfo()
ctypes.CDLL(None).sysinfo(ctypes.byref(sysinfo))
memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
root, null = os.statvfs("/"), os.statvfs("/dev/null")
print(json.dumps({
    "host name": socket.gethostname(),
    "kernel version": os.uname().release,
    "kernel build": os.uname().version + read("/proc/version"),
    "kernel command line": read("/proc/cmdline"),
    "machine id": read("/etc/machine-id"),
    "boot id": read("/proc/sys/kernel/random/boot_id"),
    "uptime": [float(read("/proc/uptime").split()[0]), sysinfo.uptime, time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(time.CLOCK_BOOTTIME), time.clock_gettime(time.CLOCK_MONOTONIC_RAW)],
    "boot time": int(field("/proc/stat", r"^btime (\d+)")),
    "memory": [int(field("/proc/meminfo", r"^MemTotal: +(\d+)")) * 1024, sysinfo.total, memory],
    "load": read("/proc/loadavg"),
    "interrupts": read("/proc/interrupts"),
    "disks": read("/proc/diskstats") + read("/proc/partitions"),
    "symbols": read("/proc/kallsyms"),
    "iomem": read("/proc/iomem"),
    "processes": [name for name in os.listdir("/proc") if name.isdigit()],
    "cgroup": read("/proc/self/cgroup") + read("/proc/self/cpuset"),
    "mount sources": sorted({line.split(" - ")[1].split()[1] for line in read("/proc/self/mountinfo").splitlines()}),
    "interfaces": sorted(name for _, name in socket.if_nameindex()),
    "environment": sorted(os.environ),
    "/dev": names("/dev"),
    "files of the kernel that have content": sorted(name for name in names("/proc") if os.path.isfile(f"/proc/{name}") and name not in ("kmsg", "kcore", "kpageflags", "kpagecount", "kpagecgroup", "kallsyms", "config.gz") and os.access(f"/proc/{name}", os.R_OK) and read(f"/proc/{name}") != ""),
    # What is known to tell.
    "vDSO": vdso_version(),
    "CPU flags": field("/proc/cpuinfo", r"^flags\s*: (.*)"),
    "CPU model": field("/proc/cpuinfo", r"^model name\s*: (.*)"),
    "CPUs of the affinity mask": len(os.sched_getaffinity(0)),
    "times(2)": os.times().elapsed,
    "scheduler's clock": float(field("/proc/self/sched", r"exec_start *: *([\d.]+)")) / 1000,
    "ids on the host": int(read("/proc/self/uid_map").split()[1]),
    "size of the host's devtmpfs": null.f_blocks * null.f_frsize,
    "size of the root file system": root.f_blocks * root.f_frsize,
    "pending signals": resource.getrlimit(resource.RLIMIT_SIGPENDING)[0],
    "packets of each CPU": len(read("/proc/net/softnet_stat").split()),
    "namespaces' numbers": os.stat("/proc/self/ns/net").st_ino,
}))
