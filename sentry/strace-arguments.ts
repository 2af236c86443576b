/** A system call's arguments as text. What they point to is looked at when the call is made, or, for what the call fills in, when it has returned. */
import { SIGNALS } from "../linux/abi/signal.ts";
import { constantText, flagText } from "./strace-flags.ts";
import { bytesAt, countAt, dataAt, quoted, stringAt, stringsAt } from "./strace-memory.ts";

/** A call as its caller has made it; the result is known once it has returned. */
export interface TracedCall {
  readonly pid: number;
  readonly name: string;
  readonly args: readonly bigint[];
  readonly result?: bigint;
}

/** @returns undefined for what cannot be told (yet): the register is shown instead. */
type Decode = (call: TracedCall, index: number, detail: string) => string | undefined;

export const pointerText = (value: bigint): string => (value === 0n ? "NULL" : `0x${value.toString(16)}`);

const arg = ({ args }: TracedCall, index: number): bigint => args[index] ?? 0n;
const address = (call: TracedCall, index: number): number => Number(arg(call, index));
const int32 = (value: bigint): number => Number(BigInt.asIntN(32, value));
const uint32 = (value: bigint): number => Number(BigInt.asUintN(32, value));
const succeeded = ({ result }: TracedCall): boolean => result !== undefined && result >= 0n;

const AT_FDCWD = -100;
const O_CREAT = 0o100;
const O_TMPFILE = 0o20000000;

const signalNames = new Map<number, string>(Object.entries(SIGNALS).map(([name, number]) => [number, name]));

export const signalText = (number: number): string => signalNames.get(number) ?? `SIG${number}`;

const ofPointer = (read: (pid: number, at: number) => string | undefined): Decode => (call, index) => (arg(call, index) === 0n ? "NULL" : read(call.pid, address(call, index)));

/** What the call fills in: known once it has succeeded. */
const filledIn = (read: Decode): Decode => (call, index, detail) => (succeeded(call) ? read(call, index, detail) : undefined);

const DECODERS: Readonly<Record<string, Decode>> = {
  int: (call, index) => String(BigInt.asIntN(64, widened(arg(call, index)))),
  uint: (call, index) => String(uint32(arg(call, index))),
  size: (call, index) => String(arg(call, index)),
  hex: (call, index) => `0x${arg(call, index).toString(16)}`,
  ptr: (call, index) => pointerText(arg(call, index)),
  fd: (call, index) => String(int32(arg(call, index))),
  dirfd: (call, index) => (int32(arg(call, index)) === AT_FDCWD ? "AT_FDCWD" : String(int32(arg(call, index)))),
  id: (call, index) => String(int32(arg(call, index))),
  mode: (call, index) => `0${(uint32(arg(call, index)) & 0o177777).toString(8)}`,
  signal: (call, index) => signalText(int32(arg(call, index))),
  flags: (call, index, table) => flagText(table, uint32(arg(call, index))),
  enum: (call, index, table) => constantText(table, uint32(arg(call, index))),
  path: ofPointer(stringAt),
  strings: ofPointer(stringsAt),
  "strings-count": ofPointer(countAt),
  timespec: ofPointer(timespecAt),
  data: (call, index, size) => (arg(call, index) === 0n ? "NULL" : dataAt(call.pid, address(call, index), address(call, Number(size)))),
  sockaddr: (call, index, size) => (arg(call, index) === 0n ? "NULL" : socketAddressAt(call.pid, address(call, index), address(call, Number(size)))),
  "out-data": filledIn((call, index) => dataAt(call.pid, address(call, index), Number(call.result ?? 0n))),
  "out-path": filledIn((call, index) => stringAt(call.pid, address(call, index))),
  "out-pair": filledIn((call, index) => intsAt(call.pid, address(call, index), 2)),
  "out-int": filledIn((call, index) => (arg(call, index) === 0n ? "NULL" : intsAt(call.pid, address(call, index), 1))),
  "out-sockaddr": filledIn((call, index) => (arg(call, index) === 0n ? "NULL" : socketAddressAt(call.pid, address(call, index), LONGEST_ADDRESS))),
};

/** An int, whose upper half a compiler may leave as it likes, or a number of 64 bits. */
function widened(value: bigint): bigint {
  return value <= 0xffff_ffffn ? BigInt.asIntN(32, value) : value;
}

/** All arguments, as far as they can be told; `undefined` for those that may be known later. */
export function decodeArguments(call: TracedCall, kinds: readonly string[]): (string | undefined)[] {
  return kinds.flatMap((kind, index) => {
    const [name = "", detail = ""] = kind.split(":");
    if (name === "mode-if-created") return creates(call, Number(detail)) ? [DECODERS["mode"]?.(call, index, "")] : [];
    const decode = DECODERS[name];
    if (decode === undefined) throw new Error(`no decoder for ${kind}`);
    return [decode(call, index, detail)];
  });
}

const creates = (call: TracedCall, flags: number): boolean => (uint32(arg(call, flags)) & (O_CREAT | O_TMPFILE)) !== 0;

function intsAt(pid: number, at: number, count: number): string | undefined {
  const bytes = bytesAt(pid, at, 4 * count);
  if (bytes?.length !== 4 * count) return undefined;
  const view = new DataView(bytes.buffer);
  return `[${Array.from({ length: count }, (_, i) => view.getInt32(4 * i, true)).join(", ")}]`;
}

function timespecAt(pid: number, at: number): string | undefined {
  const bytes = bytesAt(pid, at, 16);
  if (bytes?.length !== 16) return undefined;
  const view = new DataView(bytes.buffer);
  return `{tv_sec=${view.getBigInt64(0, true)}, tv_nsec=${view.getBigInt64(8, true)}}`;
}

const LONGEST_ADDRESS = 128;
const AF = { unix: 1, inet: 2, inet6: 10 } as const;
const NUL = 0;

/** struct sockaddr. Sources: unix(7), ip(7), ipv6(7). */
function socketAddressAt(pid: number, at: number, size: number): string | undefined {
  const bytes = bytesAt(pid, at, Math.min(size, LONGEST_ADDRESS));
  if (bytes === undefined || bytes.length < 2) return undefined;
  const view = new DataView(bytes.buffer);
  const family = view.getUint16(0, true);
  const port = bytes.length >= 4 ? view.getUint16(2) : 0;
  if (family === AF.unix) return `{AF_UNIX, ${unixName(bytes.subarray(2))}}`;
  if (family === AF.inet && bytes.length >= 8) return `{AF_INET, ${bytes.subarray(4, 8).join(".")}:${port}}`;
  if (family === AF.inet6 && bytes.length >= 24) return `{AF_INET6, [${Array.from({ length: 8 }, (_, i) => view.getUint16(8 + 2 * i).toString(16)).join(":")}]:${port}}`;
  return `{${constantText("family", family)}, ...}`;
}

/** An abstract name begins with a NUL. */
function unixName(name: Uint8Array): string {
  const end = name.indexOf(NUL, 1);
  const used = end === -1 ? name : name.subarray(0, end);
  return used[0] === NUL ? `@${quoted(used.subarray(1))}` : quoted(used);
}
