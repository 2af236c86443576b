/** What a VMM that its guest has taken over might try: runs in the jail in the VMM's place, and tells on standard error what the kernel said. */
import process from "node:process";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { O_CREAT, O_RDONLY, O_RDWR } from "../../../../linux/abi/fcntl.ts";
import * as kvm from "../../../../linux/abi/kvm.ts";
import { errnoName } from "../../../../linux/errors.ts";
import { AT_FDCWD } from "../../../../linux/fd.ts";
import { closeRange, tryOpenAt, writeAll } from "../../../../linux/file.ts";
import { exitNow } from "../../../../linux/process.ts";
import { sleepMs } from "../../../../linux/sleep.ts";
import { syscall } from "../../../../linux/syscall.unsafe.ts";
import { TUNSETOFFLOAD } from "../../../../linux/kvm-tap.ts";
import { sealVmm } from "../../../../vmm/jail/seal.ts";
import { syscallNumber } from "../../../../policies/seccomp-bpf-ts/src/index.ts";

const outcome = (result: number) => (result < 0 ? errnoName(-result) : "ok");
const call = (name: string, ...args: number[]) => outcome(syscall(syscallNumber("x86_64", name) ?? -1, ...args));

function opening(path: string, flags: number): string {
  const result = tryOpenAt(AT_FDCWD, path, flags, { mode: (flags & O_CREAT) === 0 ? 0 : 0o600 });
  if (result >= 0) closeRange(result, result);
  return outcome(result);
}

const AF_INET = 2;
const SOCK_STREAM = 1;
const PTRACE_SEIZE = 0x4206;
const IOCTLS = {
  KVM_CREATE_VM: kvm.KVM_CREATE_VM, KVM_CREATE_VCPU: kvm.KVM_CREATE_VCPU, KVM_SET_USER_MEMORY_REGION: kvm.KVM_SET_USER_MEMORY_REGION, KVM_IRQFD: kvm.KVM_IRQFD,
  KVM_IOEVENTFD: kvm.KVM_IOEVENTFD, KVM_SET_REGS: kvm.KVM_SET_REGS, KVM_SET_SREGS: kvm.KVM_SET_SREGS, KVM_SET_MSRS: kvm.KVM_SET_MSRS, KVM_ENABLE_CAP: kvm.KVM_ENABLE_CAP,
  KVM_X86_SET_MSR_FILTER: kvm.KVM_X86_SET_MSR_FILTER, TIOCSTI: 0x5412, FIONREAD: 0x541b, KVM_RUN: kvm.KVM_RUN, TUNSETOFFLOAD,
};

/** Before the filter: what the namespaces, the root and the identity refuse by themselves. */
const before = (hostPid: number) => ({
  "passwd": opening("/etc/passwd", O_RDONLY),
  "procfs": opening("/proc/self/mem", O_RDWR),
  "a device": opening("/dev/kvm", O_RDWR),
  "new in the root": opening("/new", O_RDWR | O_CREAT),
  "new beside the program": opening("/vmm/new", O_RDWR | O_CREAT),
  "writing to the program": opening("/vmm/main.cjs", O_RDWR),
  "reading the program": opening("/vmm/main.cjs", O_RDONLY),
  "its parent": syscall(syscallNumber("x86_64", "getppid") ?? -1),
  "a signal to a process of the host": call("kill", hostPid, 0),
  "tracing it": call("ptrace", PTRACE_SEIZE, hostPid, 0, 0),
  "another identity": call("setuid", 0),
  "a mount namespace": call("unshare", 0x20000),
  "a ring": call("io_uring_setup", 1, 0),
  "the name of the host": call("sethostname", 0, 0),
});

/** With arguments that would be harmless if they went through. */
const refused = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, call(name, -1, -1, -1, -1, -1, -1)]));

const MAP_PRIVATE_ANONYMOUS = 0x22;
const after = (names: readonly string[]) => ({
  calls: refused(names),
  ioctls: Object.fromEntries(Object.entries(IOCTLS).map(([name, request]) => [name, call("ioctl", -1, request, 0)])),
  "a shared mapping": call("mmap", 0, 4096, 3, 0x21, -1, 0),
  "a file's mapping": call("mmap", 0, 4096, 1, 0x02, 2, 0),
  "an executable mapping": call("mmap", 0, 4096, 5, MAP_PRIVATE_ANONYMOUS, -1, 0),
  "a signal to itself": call("tgkill", 1, 1, 15),
  "a kick to nobody": call("tgkill", 1, 4_000_000, 40),
  "a socket": call("socket", AF_INET, SOCK_STREAM, 0),
  "append only no more": call("fcntl", 2, 4, 1),
});

/** Enough for the JIT, and garbage for collections: none of it may need what is refused. */
function work(): number {
  let sum = 0;
  for (let round = 0; round < 200; round++) {
    const list = Array.from({ length: 1000 }, (_, i) => ({ i, text: String(i * round) }));
    for (const { i, text } of list) sum = (sum + i + text.length) % 1_000_003;
  }
  return sum;
}

if (isMainThread) {
  const names = (process.argv[2] ?? "").split(",");
  const words = new Int32Array(new SharedArrayBuffer(8 + 65536));
  // As the VMM's, it has started before the filter, and is held to it.
  // eslint-disable-next-line no-new
  new Worker(process.argv[1] ?? "", { workerData: { words, names }, resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 16, codeRangeSizeMb: 16 } });
  while (Atomics.load(words, 0) === 0) sleepMs(1);
  const report: Record<string, unknown> = { before: before(Number(process.argv[3])) };
  sealVmm();
  report["after"] = after(names);
  Atomics.store(words, 1, 1);
  Atomics.notify(words, 1);
  report["work"] = work() > 0;
  while (Atomics.load(words, 0) === 1) sleepMs(1);
  report["thread"] = JSON.parse(Buffer.from(words.buffer, 8, Atomics.load(words, 0)).toString());
  writeAll(2, JSON.stringify(report));
  exitNow(0);
} else {
  const { words, names } = workerData as { words: Int32Array; names: readonly string[] };
  Atomics.store(words, 0, 1);
  Atomics.wait(words, 1, 0);
  const text = Buffer.from(JSON.stringify({ ...after(names), work: work() > 0 }));
  Buffer.from(words.buffer, 8).set(text);
  Atomics.store(words, 0, text.length);
}
