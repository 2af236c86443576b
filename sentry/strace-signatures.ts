/**
 * The arguments of system calls, for strace: a call's name and the kinds of its arguments (strace-arguments.ts). Of a call that is not here all six
 * registers are shown. Source: the man page named like each call.
 */

const TEXT = `
accept fd out-sockaddr ptr
accept4 fd out-sockaddr ptr flags:sock
access path flags:access
alarm uint
arch_prctl enum:arch ptr
bind fd sockaddr:2 size
bpf int ptr size
brk ptr
capget ptr ptr
capset ptr ptr
chdir path
chmod path mode
chown path id id
chroot path
clock_getres int ptr
clock_gettime int ptr
clock_nanosleep int int timespec ptr
clock_settime int timespec
clone flags:clone ptr ptr ptr ptr
clone3 ptr size
close fd
close_range uint uint uint
connect fd sockaddr:2 size
copy_file_range fd ptr fd ptr size uint
creat path mode
dup fd
dup2 fd fd
dup3 fd fd flags:fd
epoll_create int
epoll_create1 flags:fd
epoll_ctl fd enum:epoll fd ptr
epoll_pwait fd ptr int int ptr size
epoll_wait fd ptr int int
eventfd2 uint flags:fd
execve path strings strings-count
execveat dirfd path strings strings-count flags:at
exit int
exit_group int
faccessat dirfd path flags:access
faccessat2 dirfd path flags:access flags:at
fadvise64 fd int int int
fallocate fd int int int
fchdir fd
fchmod fd mode
fchmodat dirfd path mode
fchown fd id id
fchownat dirfd path id id flags:at
fcntl fd enum:fcntl hex
fdatasync fd
fgetxattr fd path ptr size
finit_module fd path int
flock fd int
fork
fsetxattr fd path data:3 size int
fstat fd ptr
fstatfs fd ptr
fsync fd
ftruncate fd int
futex ptr hex uint ptr ptr uint
getcwd out-path size
getdents64 fd ptr size
getegid
geteuid
getgid
getgroups int ptr
getitimer int ptr
getpeername fd out-sockaddr ptr
getpgid int
getpgrp
getpid
getppid
getpriority int int
getrandom ptr size uint
getresgid ptr ptr ptr
getresuid ptr ptr ptr
getrlimit int ptr
getrusage int ptr
getsid int
getsockname fd out-sockaddr ptr
getsockopt fd int int ptr ptr
gettid
gettimeofday ptr ptr
getuid
getxattr path path ptr size
inotify_add_watch fd path hex
inotify_init1 flags:fd
inotify_rm_watch fd int
io_uring_setup uint ptr
ioctl fd enum:ioctl ptr
keyctl int int int int int
kill int signal
lchown path id id
lgetxattr path path ptr size
link path path
linkat dirfd path dirfd path flags:at
listen fd int
listxattr path ptr size
llistxattr path ptr size
lseek fd int enum:seek
lstat path ptr
madvise ptr size int
memfd_create path hex
mincore ptr size ptr
mkdir path mode
mkdirat dirfd path mode
mknod path mode hex
mknodat dirfd path mode hex
mmap ptr size flags:prot flags:map fd hex
mount path path path hex ptr
mprotect ptr size flags:prot
mremap ptr size size hex ptr
msync ptr size hex
munmap ptr size
name_to_handle_at dirfd path ptr ptr hex
nanosleep timespec ptr
newfstatat dirfd path ptr flags:at
open path flags:open mode-if-created:1
open_by_handle_at fd ptr flags:open
open_tree dirfd path hex
openat dirfd path flags:open mode-if-created:2
openat2 dirfd path ptr size
pause
perf_event_open ptr int int fd hex
personality hex
pidfd_getfd fd fd uint
pidfd_open int uint
pidfd_send_signal fd signal ptr uint
pipe out-pair
pipe2 out-pair flags:fd
pivot_root path path
poll ptr uint int
ppoll ptr uint timespec ptr size
prctl enum:prctl hex hex hex hex
pread64 fd out-data size int
preadv fd ptr int int
prlimit64 int int ptr ptr
process_vm_readv int ptr uint ptr uint uint
process_vm_writev int ptr uint ptr uint uint
pselect6 int ptr ptr ptr timespec ptr
ptrace hex int ptr ptr
pwrite64 fd data:2 size int
read fd out-data size
readahead fd int size
readlink path out-data size
readlinkat dirfd path out-data size
readv fd ptr int
reboot hex hex hex ptr
recvfrom fd out-data size hex out-sockaddr ptr
recvmsg fd ptr hex
removexattr path path
rename path path
renameat dirfd path dirfd path
renameat2 dirfd path dirfd path hex
rmdir path
rseq ptr size hex hex
rt_sigaction signal ptr ptr size
rt_sigpending ptr size
rt_sigprocmask enum:sigmask ptr ptr size
rt_sigreturn
rt_sigsuspend ptr size
rt_sigtimedwait ptr ptr timespec size
sched_getaffinity int size ptr
sched_setaffinity int size ptr
sched_yield
seccomp uint hex ptr
select int ptr ptr ptr ptr
sendfile fd fd ptr size
sendmmsg fd ptr uint hex
sendmsg fd ptr hex
sendto fd data:2 size hex sockaddr:5 size
set_robust_list ptr size
set_tid_address ptr
setdomainname path size
setfsgid id
setfsuid id
setgid id
setgroups int ptr
sethostname path size
setitimer int ptr ptr
setns fd hex
setpgid int int
setpriority int int int
setregid id id
setresgid id id id
setresuid id id id
setreuid id id
setrlimit int ptr
setsid
setsockopt fd int int ptr size
setuid id
setxattr path path data:3 size int
shmat int ptr hex
shmctl int int ptr
shmget int size hex
shutdown fd int
sigaltstack ptr ptr
signalfd4 fd ptr size flags:fd
socket enum:family flags:sock int
socketpair enum:family flags:sock int out-pair
splice fd ptr fd ptr size hex
stat path ptr
statfs path ptr
statx dirfd path flags:at hex ptr
swapoff path
swapon path int
symlink path path
symlinkat path dirfd path
sync
sync_file_range fd int int uint
syncfs fd
sysinfo ptr
syslog int ptr int
tee fd fd size hex
tgkill int int signal
time ptr
timer_create int ptr ptr
timer_delete int
timer_settime int int ptr ptr
timerfd_create int flags:fd
timerfd_settime fd int ptr ptr
times ptr
tkill int signal
truncate path int
umask mode
umount2 path hex
uname ptr
unlink path
unlinkat dirfd path flags:at
unshare flags:clone
userfaultfd flags:fd
utime path ptr
utimensat dirfd path ptr flags:at
utimes path ptr
vfork
vhangup
vmsplice fd ptr uint hex
wait4 int out-int hex ptr
waitid int int ptr hex ptr
write fd data:2 size
writev fd ptr int
`;

let table: ReadonlyMap<string, readonly string[]> | undefined;

/** @returns the kinds of a call's arguments, undefined where they are not known. */
export function signatureOf(name: string): readonly string[] | undefined {
  table ??= new Map(TEXT.trim().split("\n").map((line) => {
    const [call = "", ...kinds] = line.split(" ");
    return [call, kinds] as const;
  }));
  return table.get(name);
}

/** Calls whose result is an address. */
export const GIVES_ADDRESS: ReadonlySet<string> = new Set(["brk", "mmap", "mremap", "shmat"]);
/** Calls that change their caller's memory altogether: their arguments cannot be read again. */
export const REPLACES_MEMORY: ReadonlySet<string> = new Set(["execve", "execveat"]);
