/** Finding the program, and telling before execve(2) why it could not be executed. Call as the process's user, in its root and directory. */
import { EACCES, ENOENT, ENOTDIR } from "../../linux/abi/errno.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { SysError } from "../../linux/errors.ts";
import { AT_FDCWD, Fd } from "../../linux/fd.ts";
import { read, statAt, tryAccess, tryOpenAt } from "../../linux/file.ts";

const HEADER_SIZE = 4096;

/** @returns the path for execve(2). @throws SysError or Error whose text engines match: see oci-cli-contract, "Words that clients match". */
export function findProgram(name: string, env: readonly string[]): string {
  if (name === "") throw new Error(`exec: "": executable file not found in $PATH`);
  if (name.includes("/")) {
    const errno = refusal(name);
    if (errno !== 0) throw new SysError({ syscall: "exec", errno, path: JSON.stringify(name) });
    return withInterpreter(name);
  }
  return withInterpreter(searchPath(name, env));
}

function searchPath(name: string, env: readonly string[]): string {
  const variable = env.findLast((entry) => entry.startsWith("PATH="))?.slice("PATH=".length) ?? "";
  let denied = false;
  for (const directory of variable.split(":")) {
    const candidate = `${directory === "" ? "." : directory}/${name}`;
    const errno = refusal(candidate);
    if (errno === 0) return candidate;
    denied ||= errno === EACCES;
  }
  if (denied) throw new SysError({ syscall: "exec", errno: EACCES, path: JSON.stringify(name) });
  throw new Error(`exec: ${JSON.stringify(name)}: executable file not found in $PATH`);
}

/** Why execve(2) would refuse `path`; 0 where it would not. */
function refusal(path: string): number {
  const opened = tryOpenAt(AT_FDCWD, path, fcntl.O_PATH);
  if (opened < 0) return -opened;
  using file = new Fd(opened);
  const type = statAt(file).mode & fcntl.S_IFMT;
  if (type !== fcntl.S_IFREG) return EACCES;
  return -tryAccess(AT_FDCWD, path, fcntl.X_OK);
}

/** A missing interpreter makes execve(2) say ENOENT of a file that is plainly there: name the one that is missing. */
function withInterpreter(path: string): string {
  const interpreter = interpreterOf(path);
  const errno = interpreter === undefined ? 0 : refusal(interpreter);
  if (errno !== ENOENT && errno !== ENOTDIR) return path;
  throw new SysError({ syscall: "exec", errno, path: JSON.stringify(path), hint: `its interpreter ${interpreter} is not in the root file system` });
}

function interpreterOf(path: string): string | undefined {
  const opened = tryOpenAt(AT_FDCWD, path, fcntl.O_RDONLY | fcntl.O_NONBLOCK);
  if (opened < 0) return undefined; // executable, but not readable: the kernel will tell
  using file = new Fd(opened);
  const header = Buffer.from(read(file, HEADER_SIZE));
  if (header.toString("latin1", 0, 2) === "#!") return /^#![ \t]*([^\s]+)/.exec(header.toString())?.[1];
  return header.length >= 64 && header.readUInt32BE(0) === 0x7f454c46 ? elfInterpreter(header) : undefined;
}

const PT_INTERP = 3;

/** The PT_INTERP string of a 64-bit little-endian ELF file, where its headers are within the first page. Source: elf(5). */
function elfInterpreter(header: Buffer): string | undefined {
  if (header[4] !== 2 || header[5] !== 1) return undefined;
  const start = Number(header.readBigUInt64LE(32));
  const size = header.readUInt16LE(54);
  for (let i = 0; i < header.readUInt16LE(56); i++) {
    const at = start + i * size;
    if (at + 56 > header.length) return undefined;
    if (header.readUInt32LE(at) !== PT_INTERP) continue;
    const offset = Number(header.readBigUInt64LE(at + 8));
    const end = header.indexOf(0, offset);
    return end > offset ? header.toString("latin1", offset, end) : undefined;
  }
  return undefined;
}
