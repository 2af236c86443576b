#!/bin/sh
# Runs a command in a root file system as natively as can be: no runtime, the host's kernel. In namespaces of its own, so that it sees neither other
# processes nor other networks than in a container; what it writes goes to memory, as in a sandbox.
# Usage: unshare --mount --pid --fork --kill-child --net --ipc --uts sh native.sh ROOT SCRATCH [SOURCE TARGET]... -- COMMAND...
set -e
lower=$1 scratch=$2
shift 2
mount --make-rprivate /
mount -t tmpfs -o mode=755 scratch "$scratch"
cd "$scratch"
mkdir upper work root
mount -t overlay -o "lowerdir=$lower,upperdir=$scratch/upper,workdir=$scratch/work,userxattr" root root
cd root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755,nosuid dev dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev,noexec shm dev/shm
for device in null zero full random urandom tty; do
  touch dev/$device
  mount --bind /dev/$device dev/$device
done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
while [ "$1" != -- ]; do
  mkdir -p ".$2"
  mount --bind "$1" ".$2"
  shift 2
done
shift
ip link set lo up
hostname guest
ulimit -n 1024
# Not chroot(2), from which one can get out.
pivot_root . .
umount -l .
# CAPABILITIES is what the sandbox's config.json gives.
exec env -i PATH="$GUEST_PATH" HOME=/root TERM=xterm LC_ALL=C.UTF-8 setpriv --no-new-privs --inh-caps=-all "--bounding-set=-all,$CAPABILITIES" -- "$@"
