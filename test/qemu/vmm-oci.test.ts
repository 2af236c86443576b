// Containers with `--mode vm`: QEMU emulates a processor with SVM, Debian runs in it, and there each container gets a machine with Debian's kernel.
import { relative } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { guestProgram } from "../support/guest.ts";
import { REPOSITORY } from "./images.ts";
import { bootMachine } from "./machine.ts";
import type { CommandResult, Machine } from "./machine.ts";
import { buildGuestImage, GUEST_IMAGE, removeGuestImage } from "./vmm/guest-image.ts";

/** For a script. As emulated twice: a container's machine takes 10 s to boot on idle cores, and much longer on busy ones. */
const SECONDS = 1500;

let machine: Machine;

interface BundleOptions {
  /** Of the machine that the container belongs to. */
  readonly sandbox?: string;
  /** Whether it has the first one's host name: PID stands for that one's. */
  readonly joins?: boolean;
  readonly terminal?: boolean;
  /** Path of a network namespace. */
  readonly network?: string;
  /** Bytes. */
  readonly memory?: number;
  /** Debian's, which is the machine's own, in the place of busybox's. */
  readonly debian?: boolean;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** For ping and a port below 1024. */
const NETWORK_RIGHTS = Object.fromEntries(["bounding", "effective", "permitted"].map((set) => [set, ["CAP_NET_RAW", "CAP_NET_BIND_SERVICE"]]));

/** Shell commands that write a bundle to /run/NAME, which reads nothing of the host's but its root and the volume. */
function bundle(name: string, command: string, { sandbox, joins = false, terminal = false, network, memory, debian = false, annotations = {} }: BundleOptions = {}): string {
  const config = {
    ociVersion: "1.2.0",
    root: { path: debian ? "/run/debian" : "/run/rootfs" },
    ...(joins ? {} : { hostname: name }),
    annotations: { ...annotations, ...(sandbox === undefined ? {} : { "dev.tssandbox.sandbox": sandbox }) },
    process: { terminal, args: ["sh", "-c", command], cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 }, ...(network === undefined ? {} : { capabilities: NETWORK_RIGHTS }) },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs" },
      { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["newinstance", "ptmxmode=0666"] },
      { destination: "/volume", type: "bind", source: "/run/volume", options: ["rbind", "rw"] },
    ],
    linux: {
      namespaces: [...["pid", "mount", "ipc"].map((type) => ({ type })), { type: "network", ...(network === undefined ? {} : { path: network }) }, { type: "uts", ...(joins ? { path: "/proc/PID/ns/uts" } : {}) }],
      resources: memory === undefined ? {} : { memory: { limit: memory } },
    },
  };
  return `mkdir -p /run/${name}; cat >/run/${name}/config.json <<'JSON'\n${JSON.stringify(config)}\nJSON\n`;
}

const PREPARE = `
modprobe kvm_amd
# For one machine of 224 MiB, before memory is in pieces; what of it is in use at the moment is given later.
for i in $(seq 30); do echo 112 >/proc/sys/vm/nr_hugepages; [ $(cat /proc/sys/vm/nr_hugepages) = 112 ] && break; echo 1 >/proc/sys/vm/compact_memory; sleep 1; done
mkdir /run/debian; mount --bind / /run/debian
mkdir -p /run/rootfs/{bin,proc,dev,sys,tmp,volume} /run/volume
cp /bin/busybox /run/rootfs/bin/
chroot /run/rootfs /bin/busybox --install -s /bin
head -c 100000000 /dev/urandom >/run/volume/big; head -c 300000 /run/volume/big >/run/volume/small
${bundle("one", "echo out; echo err >&2; uname -r; hostname; sha256sum /volume/big; cat >/volume/written; echo lost >/lost; exit 7")}
${bundle("two", "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.1; done", { memory: 64 << 20, debian: true })}
${bundle("huge", "cat >/volume/held")}
echo '{"vm":{"hugePages":"always","memoryMiB":224}}' >/run/huge.json
ip netns add pod
ip link add veth0 type veth peer name eth0 netns pod
ip addr add 10.99.0.1/24 dev veth0; ip link set veth0 up; ip addr add 192.0.2.1/32 dev lo
ip -n pod addr add 10.99.0.2/24 dev eth0; ip -n pod link set eth0 up mtu 1400; ip -n pod route add default via 10.99.0.1
for n in 1 2 3; do
  ip netns add pod$n; ip link add veth$n type veth peer name eth0 netns pod$n; ip addr add 10.99.$((n * 10)).1/24 dev veth$n; ip link set veth$n up
  ip -n pod$n addr add 10.99.$((n * 10)).2/24 dev eth0; ip -n pod$n link set eth0 up; ip -n pod$n route add default via 10.99.$((n * 10)).1
done
mkdir -p /run/www; echo from the host >/run/www/index.html; head -c 3000000 /dev/zero >/run/www/big; busybox httpd -p 8099 -h /run/www
${bundle("net", "ip -o addr show dev eth0; ip -o link show dev eth0; ping -c 2 -W 60 10.99.0.1; wget -qO- http://192.0.2.1:8099/; start=$(date +%s); wget -qO /dev/null http://192.0.2.1:8099/big; [ $(($(date +%s) - start)) -ge 2 ]; echo slow $?; mkdir /www; echo from the guest >/www/index.html; httpd -p 80 -h /www; echo serving; read line; echo $line", { network: "/run/netns/pod", annotations: { "dev.tssandbox.vm.net-bytes-per-second": "1000000" } })}
${bundle("first", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done", { sandbox: "first" })}
${bundle("member", "hostname; sha256sum /volume/small | cut -c1-64; cat >/volume/written; echo lost >/lost; ps | grep -c [s]leep; exit 7", { sandbox: "first", joins: true })}
${bundle("terminal", "tty; stty size; while [ \"$(stty size)\" = '31 97' ]; do sleep 0.2; done; stty size; read line; echo got $line; exit 4", { sandbox: "first", joins: true, terminal: true })}
${bundle("hungry", "while ! [ -e /volume/go ]; do sleep 0.2; done; tail /dev/zero; echo $?", { sandbox: "first", joins: true, memory: 24 << 20 })}
${bundle("saved", "n=0; while :; do n=$((n+1)); echo $n >/count; sleep 0.1; done", { network: "/run/netns/pod1" })}
${bundle("worker", "echo mine >/own; while :; do date +%s >/volume/worker; sleep 0.1; done", { sandbox: "first", joins: true })}
`;

const SHELL = `
export TSSANDBOX_VM_IMAGE=${GUEST_IMAGE}
state() { bin/tssandbox state $1 | sed -n 's/.*"status": "\\(.*\\)".*/\\1/p'; }
# Waits until what is given succeeds, for five minutes, since the host may be busy; what is printed afterwards tells whether it has.
await() { local end=$((SECONDS + 300)); until "$@"; do [ $SECONDS -lt $end ] || break; sleep 0.1; done; }
stopped() { [ "$(state $1)" = stopped ]; }
ended() { await stopped $1; state $1; }
seen() { await grep -qs "$1" $2; }
# The VMMs that are there. One whose container is gone may still be on its way out.
no_vmm() { ! pgrep -f ^tssandbox-vmm >/dev/null; }
vmms() { await no_vmm; pgrep -f ^tssandbox-vmm; true; }
# Of a test whose time was over, or of its first try.
for id in $(ls /run/tssandbox 2>/dev/null); do bin/tssandbox delete --force $id >/dev/null 2>&1; done
# What an end that nobody has asked for leaves behind.
lost() { [ "$(state $1)" = running ] && return; echo "$1 has ended by itself"; for log in out serial.log sandbox.log; do echo "-- $log"; tail -n 20 /run/$1.$log /run/tssandbox/$1/$log 2>/dev/null; done; echo '-- kernel'; dmesg | tail -n 20; }
`;

/** As the machine sees it. */
const console = relative(REPOSITORY, guestProgram("console"));

const script = (text: string): Promise<CommandResult> => machine.runScript(`${SHELL}${text}`, { seconds: SECONDS });

beforeAll(async () => {
  await buildGuestImage();
  machine = await bootMachine({ cpu: "EPYC,+svm" });
  removeGuestImage();
  const { status, stderr } = await script(PREPARE);
  if (status !== 0) throw new Error(stderr);
});

afterAll(async () => {
  await machine?.[Symbol.asyncDispose]();
});

test("vm check says yes", async () => {
  const { status, stdout } = await script("bin/tssandbox vm check");
  expect([status, stdout]).toEqual([0, expect.stringMatching(/^yes, nested: /)]);
});

test("run: output, errors, input, exit code; a file through virtio-fs, both ways", async () => {
  const { status, stdout, stderr } = await script("echo typed | bin/tssandbox --mode vm run --bundle /run/one one");
  const lines = stdout.trim().split("\n");
  const facts = await script("sha256sum </run/volume/big; cat /run/volume/written; ls /run/rootfs /run/tssandbox; vmms");
  expect([status, stderr]).toEqual([7, "err\n"]);
  expect([lines[0], lines[2]]).toEqual(["out", "one"]);
  expect(lines[1]).toMatch(/^6\.1\.0-\d+-cloud-amd64$/);
  const [sum, written] = facts.stdout.split("\n");
  expect(lines[3]?.split(" ")[0]).toBe(sum?.split(" ")[0]);
  expect(written).toBe("typed");
  // Nothing is left, and what was written to the root stayed in the guest.
  expect(facts.stdout).not.toContain("lost");
  expect(facts.stdout).toMatch(/\/run\/tssandbox:\n$/);
});

/** 608 MiB: the container's 64, the guest's kernel's 192 and what stands around the guest (runtime/vm/host-resources.ts).
 * A guest takes and gives as it can, `update` waits for 20 s and warns: what is asked here is what it comes to. Up to 16 MiB of what it grew by may
 * stay with the guest, while pages in them are in use. */
test("create, start, exec, another machine beside it, pause, resume, signals, delete", async () => {
  const { stdout, stderr } = await script(`
    bin/tssandbox --mode vm create --bundle /run/two --pid-file /run/two.pid two </dev/null >/run/two.out 2>&1 || { cat /run/two.out; exit; }
    state two
    bin/tssandbox start two; state two
    cg=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/$(cat /run/two.pid)/cgroup); cat $cg/memory.max; for pid in $(cat $cg/cgroup.procs); do tr '\\0' ' ' </proc/$pid/cmdline; echo; done | grep -c ^tssandbox-vmm
    bin/tssandbox exec two sh -c 'hostname; exit 5'; echo exec $?
    bin/tssandbox exec two sh -c 'kill -9 $$'; echo exec $?
    bin/tssandbox exec two sh -c '. /etc/os-release; echo $ID $VERSION_CODENAME; dpkg-query -s base-files | sed -n "s/^Status: //p"; perl -e "print 6*7,qq{\\n}"'
    rm -f /run/keys /run/console.*; mkfifo /run/keys; exec 7<>/run/keys; ${console} /run/console.sock 31 97 </run/keys >/run/console.out & seen listening /run/console.out
    bin/tssandbox exec --tty --detach --console-socket /run/console.sock two sh -c 'tty; while [ "$(stty size)" != "31 97" ]; do sleep 0.1; done; stty size; read word; echo got $word'
    seen '31 97' /run/console.out; echo word >&7; wait $!; exec 7>&-; tr -d '\\r' </run/console.out | sed 1,2d
    total() { bin/tssandbox exec two sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo; }
    before=$(total); bin/tssandbox update --memory 192m two 2>/run/two.warnings; grown() { [ $(($(total) - before)) = 131072 ]; }; await grown; grown && echo grown; cat $cg/memory.max
    back() { bin/tssandbox update --memory 64m two 2>/run/two.warnings; [ $(cat $cg/memory.max) -le $((624 << 20)) ] && [ $(($(total) - before)) -le 16384 ]; }; for i in $(seq 30); do back && echo back && break; done
    bin/tssandbox pause two; state two
    bin/tssandbox resume two; state two
    bin/tssandbox kill two TERM
    ended two; cat /run/two.out
    bin/tssandbox delete two; ls /run/tssandbox; vmms`);
  expect(stderr).toBe("");
  expect(stdout.trim().split("\n")).toEqual(["created", "running", String(608 << 20), "1", "two", "exec 5", "exec 137", "debian bookworm", "install ok installed", "42", "/dev/pts/0", "31 97", "word", "got word",
    "grown", String(736 << 20), "back", "paused", "running", "stopped", "ready", "caught"]);
});

test("a machine of huge pages: all of the pool's, and back with its end", async () => {
  const { stdout, stderr } = await script(`
    huge() { sed -n "s/^HugePages_$1: *//p" /proc/meminfo; }
    rm -f /run/hold /run/volume/held; mkfifo /run/hold; exec 8<>/run/hold
    bin/tssandbox --config /run/huge.json --mode vm run --bundle /run/huge huge </run/hold >/run/huge.out 2>&1 & run=$!
    held() { [ -e /run/volume/held ] || ! kill -0 $run 2>/dev/null; }; await held
    [ -e /run/volume/held ] || tail -n 20 /run/tssandbox/huge/*.log; echo $(huge Total) $(($(huge Free) - $(huge Rsvd)))
    bin/tssandbox --config /run/huge.json --mode vm run --bundle /run/huge another </dev/null 2>&1 | grep -o 'needs 112 huge pages.*'
    bin/tssandbox kill huge KILL; wait $run; status=$?; all() { [ $(huge Free) = 112 ]; }; await all; echo ended $status $(huge Free); exec 8>&-; cat /run/huge.out`);
  expect([stderr, stdout.trim().split("\n")]).toEqual(["", ["112 0", "needs 112 huge pages of 2 MiB, and the host has 0 left: vm.nr_hugepages", "ended 137 112"]]);
});

test("several containers in one machine: each with its own files and processes, ended one by one, and all with the first", async () => {
  const { stdout, stderr } = await script(`
    bin/tssandbox --mode vm create --bundle /run/first --pid-file /run/first.pid first </dev/null >/run/first.out 2>&1 || { cat /run/first.out; exit; }
    bin/tssandbox start first
    rm -f /run/volume/go; sed -i "s,/proc/[^/]*/ns/uts,/proc/$(cat /run/first.pid)/ns/uts," /run/{member,worker,hungry,terminal}/config.json
    echo typed | bin/tssandbox --mode vm run --bundle /run/member member; echo member $?
    cat /run/volume/written; sha256sum /run/volume/small | cut -c1-64; ls /run/rootfs | grep -c -e lost -e own
    for id in worker other; do bin/tssandbox --mode vm create --bundle /run/worker $id </dev/null >/run/$id.out 2>&1; bin/tssandbox start $id; done
    bin/tssandbox exec worker cat /own; pgrep -fc ^tssandbox-vmm
    bin/tssandbox pause worker; state worker; bin/tssandbox exec other hostname; bin/tssandbox resume worker; state worker
    bin/tssandbox ps --format json worker | grep -c '^[[][0-9,]*[]]$'; bin/tssandbox ps first | grep -q 'trap ' && echo listed
    bin/tssandbox update --pids-limit 77 worker; bin/tssandbox events --stats worker | grep -o '"limit":77'
    bin/tssandbox --mode vm create --bundle /run/hungry hungry </dev/null >/run/hungry.out 2>&1; bin/tssandbox start hungry
    bin/tssandbox events --interval 500ms hungry >/run/events & seen stats /run/events; touch /run/volume/go
    ended hungry; wait; bin/tssandbox delete hungry; cat /run/hungry.out; grep -o '"type":"oom"' /run/events
    rm -f /run/typed; mkfifo /run/typed; script -qefc "tty >/run/pty; stty rows 31 cols 97; bin/tssandbox --mode vm run --bundle /run/terminal terminal; echo run \\$?" /run/typescript </run/typed >/dev/null & exec 9>/run/typed
    seen '31 97' /run/typescript; stty -F $(cat /run/pty) rows 41 cols 131; seen '41 131' /run/typescript; echo word >&9; wait; exec 9>&-; tr -d '\\r' </run/typescript | grep -v ^Script
    bin/tssandbox kill worker KILL; ended worker; bin/tssandbox delete worker
    bin/tssandbox kill first TERM; ended first; ended other
    bin/tssandbox --mode vm run --bundle /run/member late </dev/null; echo late $?
    bin/tssandbox delete other; bin/tssandbox delete first; cat /run/first.out; ls /run/tssandbox; vmms`);
  expect(stderr).toMatch(/^.*annotations\["dev.tssandbox.sandbox"\]: cannot join the machine of a stopped container: first\n$/);
  const lines = stdout.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const sum = expect.stringMatching(/^[0-9a-f]{64}$/) as string;
  expect(lines).toEqual([
    "first", sum, "0", "member 7", "typed", lines[1], "0", "mine", "1", "paused", "first", "running", "1", "listed",
    '"limit":77', "stopped", "Killed", "137", '"type":"oom"', "/dev/pts/0", "31 97", "41 131", "word", "got word", "run 4", "stopped", "stopped", "stopped", "late 1", "ready",
  ]);
});

test("the pod's network: addresses, MTU, ping and HTTP to the host by the default route, HTTP from the host", async () => {
  const { stdout, stderr } = await script(`
    rm -f /run/net.in; mkfifo /run/net.in; exec 3<>/run/net.in
    bin/tssandbox --mode vm run --bundle /run/net net </run/net.in >/run/net.out 2>&1 &
    served() { grep -q serving /run/net.out || ! kill -0 $! 2>/dev/null; }; await served
    busybox wget -qO- http://10.99.0.2/
    echo done >&3; wait $!; echo status $?; exec 3>&-
    cat /run/net.out; links() { [ $(ip -n pod -o link show | wc -l) = 2 ]; }; await links; ip -n pod -o link show | sed -n 's/^[0-9]*: \\([a-z0-9]*\\).*/\\1/p'`);
  const lines = stdout.trim().split("\n");
  expect([stderr, ...lines.slice(0, 2)], stdout).toEqual(["", "from the guest", "status 0"]);
  expect(stdout).toMatch(/eth0 +inet 10\.99\.0\.2\/24 .*eth0: <.*> mtu 1400 .* 0% packet loss.*\nfrom the host\nslow 0\nserving\ndone\n/s);
  // The tap is gone with its machine.
  expect(lines.slice(-2)).toEqual(["lo", "eth0"]);
});

test("a running container is saved and restored twice: both go on, with names, randomness, files and a network of their own; the original too", async () => {
  const { stdout, stderr } = await script(`
    rm -rf /run/snapshot /run/volume/one-more /run/volume/another
    count() { bin/tssandbox exec $1 sh -c 'a=$(cat /count); while [ $(cat /count) = $a ]; do sleep 0.1; done; cat /count'; }
    bin/tssandbox --mode vm run --detach --bundle /run/saved saved </dev/null >/run/saved.out 2>&1
    bin/tssandbox exec saved sh -c 'echo kept >/kept; head -c 300000 /volume/big | sha256sum | cut -c1-64 >/sum; cat /sum'
    count saved >/dev/null; bin/tssandbox vm snapshot saved /run/snapshot; echo snapshot $?; count saved >/run/count
    bin/tssandbox kill saved KILL; ended saved; bin/tssandbox delete saved
    bin/tssandbox vm restore --detach --network /run/netns/pod2 /run/snapshot one-more </dev/null >/run/one-more.out 2>&1; echo restore $?
    bin/tssandbox vm restore --detach --network /run/netns/pod3 /run/snapshot another </dev/null >/run/another.out 2>&1; echo restore $?
    for id in one-more another; do
      bin/tssandbox exec $id sh -c 'hostname; cat /kept; head -c 300000 /volume/big | sha256sum | cut -c1-64; ls /bin/busybox; head -c 32 /dev/urandom | sha256sum; ip -o -4 addr show dev eth0 | sed -n "s/.*inet \\([0-9.]*\\).*/\\1/p"; wget -qO- http://192.0.2.1:8099/'
      count $id >/run/count; start=$(date +%s); bin/tssandbox exec $id date +%s >/run/date; end=$(date +%s); [ $(cat /run/date) -ge $((start - 30)) ] && [ $(cat /run/date) -le $((end + 30)) ]; echo clock $?
      echo $id >/run/volume/$id; bin/tssandbox exec $id cat /volume/$id
    done
    for id in one-more another; do lost $id; done
    bin/tssandbox kill one-more KILL; ended one-more; state another; bin/tssandbox delete --force one-more; bin/tssandbox delete --force another
    cat /run/saved.out /run/one-more.out /run/another.out; ls /run/tssandbox; vmms`);
  expect(stderr, stdout).toBe("");
  const lines = stdout.trim().split("\n");
  const hash = expect.stringMatching(/^[0-9a-f]{64}/) as string;
  const clone = (id: string, address: string) => [id, "kept", lines[0], "/bin/busybox", hash, address, "from the host", "clock 0", id];
  expect(lines).toEqual([hash, "snapshot 0", "stopped", "restore 0", "restore 0", ...clone("one-more", "10.99.20.2"), ...clone("another", "10.99.30.2"), "stopped", "running"]);
  expect(lines[9]).not.toBe(lines[18]);
});
