/**
 * execve by way of a stub, so that the workload never has our program as its /proc/self/exe.
 *
 * Between the exec of a container's program and the end of the old image there must be no moment in which `#!/proc/self/exe`, or a link to
 * it in the container's root, names the runtime's own binary on the host: root in the container could then write to it
 * (CVE-2019-5736). Copying 100 MB to a memfd, or starting Node anew from a read-only mount, would cost more than the whole set-up. So the
 * process first becomes some 300 bytes of machine code in a sealed memfd, and that executes the program: whoever names /proc/self/exe during
 * or after it gets the stub.
 *
 * A script whose interpreter is /proc/self/exe would make the stub execute the script, which starts the stub, for ever. So the stub does
 * its work only where its argv[0] is a mark, which the kernel does not put there for an interpreter.
 *
 * Machine code, because the image must not be V8.
 */
import { ENOEXEC } from "./abi/errno.ts";
import { SIGNALS } from "./abi/signal.ts";
import { SYS } from "./arch.ts";
import { AT_EMPTY_PATH, O_CLOEXEC, O_WRONLY } from "./abi/fcntl.ts";
import { check } from "./errors.ts";
import type { Fd } from "./fd.ts";
import { le32 } from "./machine-code.unsafe.ts";
import { createSealed } from "./memfd.ts";
import { scratch } from "./memory.unsafe.ts";
import { filterProgram, SECCOMP_SET_MODE_FILTER } from "./seccomp.ts";
import { syscall } from "./syscall.unsafe.ts";

const ELF_HEADER = 64;
const PROGRAM_HEADER = 56;
const HEADERS = ELF_HEADER + PROGRAM_HEADER;
const LOAD_ADDRESS = 0x10000;
/** What a program that cannot be executed ends with, after a line on its standard error. */
export const EXEC_REFUSED = 126;
const FORMAT_TEXT = "tssandbox: exec format error: the kernel does not know how to run this file\n";
const REFUSED_TEXT = "tssandbox: exec: the kernel refused the program (memory, limits or a security module)\n";
const GATE_TEXT = "tssandbox: exec: the sandbox does not take the process\n";
const LABEL_TEXT = "tssandbox: exec: the kernel refused the security label\n";

/**
 * Labels that a security module is to give to the program, and not to the stub: a label for the next execve would be used up by the stub's own,
 * and a descriptor opened before that is of no use after it, since the kernel lets only the opener's address space write. So the stub itself opens
 * `names` in the directory. Source: Linux fs/proc/base.c, proc_pid_attr_write.
 */
export interface ExecLabels {
  /** Number of the descriptor of the process's /proc/PID/attr; not close-on-exec, the stub closes it. */
  readonly directory: number;
  readonly writes: readonly { readonly name: string; readonly text: string }[];
}

/** What the stub does before it executes the program. */
export interface StubWork {
  readonly labels?: ExecLabels | undefined;
  /**
   * Number of a descriptor at which the stub says with one byte that it is there, and waits for one in return: as long as that, the process has
   * nothing of the runtime's in its memory and nothing of the program's. Not close-on-exec, the stub closes it.
   */
  readonly gate?: number | undefined;
  /** A seccomp filter that it loads behind the gate: struct sock_filter[]. Preconditions: no_new_privs. */
  readonly filter?: Uint8Array | undefined;
}

/** The system calls that the stub makes for labels, as a filter sees them; pointers and the numbers of descriptors differ. */
export const LABEL_CALLS: readonly { readonly nr: number; readonly args: readonly number[] }[] = [
  { nr: SYS.openat, args: [3, 0, O_WRONLY | O_CLOEXEC] },
  { nr: SYS.write, args: [4] },
  { nr: SYS.close, args: [3] },
];

const SIG_SETMASK = 2;

/** argv[0] of the stub: eight bytes with the NUL, so that one comparison covers it. */
const MARK = "tss-stb";

/** Strings of the image, and other data, which the code names by address. */
class Texts {
  bytes = Buffer.alloc(0);

  /** @returns its address, a multiple of 8. */
  addData(data: Uint8Array): number {
    const padding = -this.bytes.length & 7;
    const address = LOAD_ADDRESS + HEADERS + this.bytes.length + padding;
    this.bytes = Buffer.concat([this.bytes, Buffer.alloc(padding), data]);
    return address;
  }

  /** @returns its address and its length in bytes, the final NUL aside. */
  add(text: string): { address: number; length: number } {
    const address = LOAD_ADDRESS + HEADERS + this.bytes.length;
    this.bytes = Buffer.concat([this.bytes, Buffer.from(`${text}\0`)]);
    return { address, length: Buffer.byteLength(text) };
  }
}

const call = (nr: number) => [0xb8, ...le32(nr), 0x0f, 0x05]; // mov eax, nr; syscall

/** write(fd, text); exit_group(code) */
function sayAndEnd({ address, length }: { address: number; length: number }, fd = 2, code = EXEC_REFUSED): number[] {
  return [
    0xbf, ...le32(fd), // mov edi, fd
    0xbe, ...le32(address), // mov esi, text
    0xba, ...le32(length), // mov edx, its length
    ...call(SYS.write),
    0xbf, ...le32(code), // mov edi, code
    ...call(SYS.exit_group),
  ];
}

/** openat(directory, name), write(it, text), for each; close(directory). Where one fails, a jump over `end` bytes behind all of it. */
function writeLabels({ directory, writes }: ExecLabels, texts: Texts, end: number): number[] {
  const close = [0xbf, ...le32(directory), ...call(SYS.close)]; // mov edi, directory; close
  return writes.reduceRight<number[]>((rest, { name, text }) => {
    const file = texts.add(name);
    const label = texts.add(text);
    const checked = [
      0x48, 0x3d, ...le32(label.length), // cmp rax, length
      0x0f, 0x85, ...le32(rest.length + end), // jne to the end
    ];
    const write = [
      0x89, 0xc7, // mov edi, eax
      0xbe, ...le32(label.address), // mov esi, text
      0xba, ...le32(label.length), // mov edx, its length
      ...call(SYS.write),
      ...checked,
    ];
    return [
      0xbf, ...le32(directory), // mov edi, directory
      0xbe, ...le32(file.address), // mov esi, name
      0xba, ...le32(O_WRONLY | O_CLOEXEC), // mov edx, flags
      ...call(SYS.openat),
      0x85, 0xc0, // test eax, eax
      0x0f, 0x88, ...le32(write.length + rest.length + end), // js to the end
      ...write,
      ...rest,
    ];
  }, close);
}

/** write(gate, 1 byte); read(gate, 1 byte) below the stack; close(gate). Where none came, a jump over `end` bytes behind all of it. */
function passGate(gate: number, texts: Texts, end: number): number[] {
  const close = [0xbf, ...le32(gate), ...call(SYS.close)]; // mov edi, gate; close
  return [
    0xbf, ...le32(gate), // mov edi, gate
    0xbe, ...le32(texts.add("+").address), // mov esi, text
    0xba, ...le32(1), // mov edx, 1
    ...call(SYS.write),
    0xbf, ...le32(gate), // mov edi, gate
    0x48, 0x8d, 0x74, 0x24, 0xf0, // lea rsi, [rsp-16]
    0xba, ...le32(1), // mov edx, 1
    ...call(SYS.read),
    0x83, 0xf8, 0x01, // cmp eax, 1
    0x0f, 0x85, ...le32(close.length + end), // jne to the end
    ...close,
  ];
}

/** seccomp(SECCOMP_SET_MODE_FILTER, 0, filter). Where it is refused, a jump over `end` bytes behind all of it. */
function loadFilter(filter: Uint8Array, texts: Texts, end: number): number[] {
  const program = filterProgram(filter.length, texts.addData(filter));
  return [
    0xbf, ...le32(SECCOMP_SET_MODE_FILTER), // mov edi, operation
    0x31, 0xf6, // xor esi, esi
    0xba, ...le32(texts.addData(program)), // mov edx, program
    ...call(SYS.seccomp),
    0x85, 0xc0, // test eax, eax
    0x0f, 0x85, ...le32(end), // jne to the end
  ];
}

/**
 * The gate; the labels; execve(argv[1], argv + 2, envp); where one fails, write(2, text) and exit_group(126). Without the mark in argv[0] it counts as
 * refused with ENOEXEC. Stack at entry: argc, argv, NULL, envp. The kernel sees to it that there is an argv[0], and that eight bytes can be read
 * there: environment, file name and end marker follow. Source: Linux fs/exec.c, fs/binfmt_elf.c create_elf_tables.
 * A jump's distance is the length of what lies between: the code is put together from its end.
 */
function code(texts: Texts, { labels, gate, filter }: StubWork): number[] {
  const refused = sayAndEnd(texts.add(REFUSED_TEXT));
  const badFormat = sayAndEnd(texts.add(FORMAT_TEXT));
  const badLabel = sayAndEnd(texts.add(LABEL_TEXT));
  const badGate = sayAndEnd(texts.add(GATE_TEXT));
  const execute = [
    0x48, 0x8b, 0x7c, 0x24, 0x10, // mov rdi, [rsp+16]
    0x48, 0x8d, 0x74, 0x24, 0x18, // lea rsi, [rsp+24]
    0x48, 0x8b, 0x04, 0x24, // mov rax, [rsp]
    0x48, 0x8d, 0x54, 0xc4, 0x10, // lea rdx, [rsp+rax*8+16]
    ...call(SYS.execve),
    0x83, 0xf8, 0x100 - ENOEXEC, // cmp eax, -ENOEXEC
    0x0f, 0x84, ...le32(refused.length), // je to the bad format
  ];
  const load = filter === undefined ? [] : loadFilter(filter, texts, execute.length + refused.length + badFormat.length + badLabel.length);
  const label = labels === undefined ? [] : writeLabels(labels, texts, load.length + execute.length + refused.length + badFormat.length);
  const rest = label.length + load.length + execute.length + refused.length;
  const pass = gate === undefined ? [] : passGate(gate, texts, rest + badFormat.length + badLabel.length);
  return [
    0x48, 0x8b, 0x7c, 0x24, 0x08, // mov rdi, [rsp+8]
    0x48, 0xb9, ...Buffer.from(`${MARK}\0`), // movabs rcx, mark
    0x48, 0x39, 0x0f, // cmp [rdi], rcx
    0x0f, 0x85, ...le32(pass.length + rest), // jne to the bad format
    ...pass,
    ...label,
    ...load,
    ...execute,
    ...refused,
    ...badFormat,
    ...badLabel,
    ...badGate,
  ];
}

function stubImage(work: StubWork): Uint8Array {
  const texts = new Texts();
  return elf(texts, code(texts, work));
}

/** A program that needs nothing of the root file system it is put into: it writes `text` to its standard output, and ends well. */
export function greetingProgram(text: string): Uint8Array {
  const texts = new Texts();
  return elf(texts, sayAndEnd(texts.add(text), 1, 0));
}

/**
 * A program that needs nothing of its root file system, either: it takes every signal, reaps the processes that become its children, and ends with 0 on SIGTERM
 * and SIGINT. What Kubernetes' pause does, whose image a sandbox of containerd's does not bring. Source: kubernetes, build/pause/linux/pause.c.
 */
export function pauseProgram(): Uint8Array {
  const wait = [
    0x48, 0x89, 0xe7, // mov rdi, rsp: all signals
    0x31, 0xf6, // xor esi, esi
    0x31, 0xd2, // xor edx, edx
    0x41, 0xba, ...le32(8), // mov r10d, 8
    ...call(SYS.rt_sigtimedwait),
  ];
  const end = [0x31, 0xff, ...call(SYS.exit_group)]; // xor edi, edi
  const wait4 = [
    0xbf, ...le32(-1), // mov edi, -1
    0x31, 0xf6, // xor esi, esi
    0xba, ...le32(1), // mov edx, WNOHANG
    0x45, 0x31, 0xd2, // xor r10d, r10d
    ...call(SYS.wait4),
    0x85, 0xc0, // test eax, eax
  ];
  const jump = 2;
  const reap = [
    ...wait4,
    0x7f, -(wait4.length + jump), // jg to wait4
  ];
  const compare = 5;
  const decide = [
    0x83, 0xf8, SIGNALS.SIGTERM, 0x74, 2 * compare + reap.length + jump, // cmp eax, SIGTERM; je to the end
    0x83, 0xf8, SIGNALS.SIGINT, 0x74, compare + reap.length + jump, // cmp eax, SIGINT; je to the end
    0x83, 0xf8, SIGNALS.SIGCHLD, 0x75, -(wait.length + 3 * compare), // cmp eax, SIGCHLD; jne to wait
  ];
  const block = [
    0x6a, 0xff, // push -1
    0x48, 0x89, 0xe6, // mov rsi, rsp
    0xbf, ...le32(SIG_SETMASK), // mov edi, SIG_SETMASK
    0x31, 0xd2, // xor edx, edx
    0x41, 0xba, ...le32(8), // mov r10d, 8
    ...call(SYS.rt_sigprocmask),
  ];
  const again = [0xeb, -(wait.length + decide.length + reap.length + jump)]; // jmp to wait
  return elf(new Texts(), [...block, ...wait, ...decide, ...reap, ...again, ...end]);
}

/** A static ELF file with one segment, read and execute. Source: elf(5). */
function elf(texts: Texts, instructions: readonly number[]): Uint8Array {
  const start = HEADERS + texts.bytes.length;
  const image = Buffer.alloc(start + instructions.length);
  image.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // ELF, 64 bit, little endian, version 1
  image.writeUInt16LE(2, 16); // ET_EXEC
  image.writeUInt16LE(62, 18); // EM_X86_64
  image.writeUInt32LE(1, 20);
  image.writeBigUInt64LE(BigInt(LOAD_ADDRESS + start), 24); // entry
  image.writeBigUInt64LE(BigInt(ELF_HEADER), 32); // program headers
  image.writeUInt16LE(ELF_HEADER, 52);
  image.writeUInt16LE(PROGRAM_HEADER, 54);
  image.writeUInt16LE(1, 56);
  image.writeUInt32LE(1, ELF_HEADER); // PT_LOAD
  image.writeUInt32LE(5, ELF_HEADER + 4); // read, execute
  image.writeBigUInt64LE(BigInt(LOAD_ADDRESS), ELF_HEADER + 16);
  image.writeBigUInt64LE(BigInt(LOAD_ADDRESS), ELF_HEADER + 24);
  image.writeBigUInt64LE(BigInt(image.length), ELF_HEADER + 32);
  image.writeBigUInt64LE(BigInt(image.length), ELF_HEADER + 40);
  image.writeBigUInt64LE(4096n, ELF_HEADER + 48);
  image.set(texts.bytes, HEADERS);
  image.set(instructions, start);
  return image;
}

/** The stub, sealed. Made before a seccomp filter might forbid memfd_create. @throws SysError EACCES where vm.memfd_noexec is 2. */
export function createExecStub(work: StubWork = {}): Fd {
  return createSealed("tssandbox-exec", stubImage(work), "program");
}

/**
 * Prepares to become `path` with `argv` and `env` through the stub. The caller has checked that `path` can be executed: what the kernel
 * refuses after the stub has taken over is seen as a line on standard error and exit code 126.
 * @returns the step itself, which needs no more memory and makes one system call. It throws SysError where the stub is refused, E2BIG for
 * example, and does not return otherwise.
 */
export function prepareExec(stub: Fd, path: string, argv: readonly string[], env: readonly string[]): () => never {
  const s = scratch(); // never disposed of: the image that follows has no use for it
  const empty = s.cstr("");
  const argvAddress = s.cstrs([MARK, path, ...argv]);
  const envAddress = s.cstrs(env);
  return () => {
    check(syscall(SYS.execveat, stub.number, empty, argvAddress, envAddress, AT_EMPTY_PATH), "execve", path);
    throw new Error("execveat returned");
  };
}
