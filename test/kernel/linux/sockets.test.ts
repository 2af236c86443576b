import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { O_RDONLY } from "../../../linux/abi/fcntl.ts";
import { open, pipe, read, writeAll } from "../../../linux/file.ts";
import { scratch } from "../../../linux/memory.unsafe.ts";
import { acceptUnix, connectUnix, isPeerGone, listenUnix, receiveMessage, sendMessage, SOCK_SEQPACKET, socketPair } from "../../../linux/socket.ts";
import { SYS } from "../../../linux/arch.ts";
import { syscall } from "../../../linux/syscall.unsafe.ts";
import { refusal } from "../../support/forked.ts";
import { uniqueId, workDir } from "../../support/paths.ts";

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const openFds = () => readdirSync("/proc/self/fd").length;

test.each([0, 1, 16])("%d descriptors travel with a message, in order, and are the receiver's own", (count) => {
  const [left, right] = socketPair();
  const pipes = Array.from({ length: count }, () => pipe());
  sendMessage(left, bytes("payload"), pipes.map(([, writer]) => writer));
  for (const [, writer] of pipes) writer.close();
  const message = receiveMessage(right);
  expect(Buffer.from(message?.data ?? []).toString()).toBe("payload");
  expect(message?.fds).toHaveLength(count);
  for (const [i, fd] of (message?.fds ?? []).entries()) {
    writeAll(fd, `pipe ${i}`);
    fd.close();
    expect(Buffer.from(read(pipes[i]?.[0] ?? -1, 100)).toString()).toBe(`pipe ${i}`);
  }
  for (const [reader] of pipes) reader.close();
  left.close();
  right.close();
});

test("message boundaries are kept", () => {
  const [left, right] = socketPair();
  sendMessage(left, bytes("one"));
  sendMessage(left, bytes("two"));
  expect(receiveMessage(right)?.data).toEqual(bytes("one"));
  expect(receiveMessage(right)?.data).toEqual(bytes("two"));
});

test("a peer that is gone is the end of messages, and an error to the sender", () => {
  const [left, right] = socketPair();
  left.close();
  expect(receiveMessage(right)).toBeUndefined();
  let error: unknown;
  try {
    sendMessage(right, bytes("x"));
  } catch (caught) {
    error = caught;
  }
  expect(isPeerGone(error)).toBe(true);
});

test("what was sent before the peer closed still arrives", () => {
  const [left, right] = socketPair();
  sendMessage(left, bytes("last words"));
  left.close();
  expect(receiveMessage(right)?.data).toEqual(bytes("last words"));
  expect(receiveMessage(right)).toBeUndefined();
});

test("more than 16 descriptors are refused by the sender", () => {
  const [left] = socketPair();
  expect(() => sendMessage(left, bytes("x"), Array.from({ length: 17 }, () => 0))).toThrow(RangeError);
});

/** Sends `count` copies of descriptor 0 in one message, past the sender's own limit. */
function sendTooMany(socket: number, count: number): number {
  using s = scratch();
  const data = s.reserve(1);
  const iov = s.reserve(16);
  iov.view.setBigUint64(0, BigInt(data.address), true);
  iov.view.setBigUint64(8, 1n, true);
  const control = s.reserve(16 + 4 * count + 4);
  control.view.setBigUint64(0, BigInt(16 + 4 * count), true);
  control.view.setInt32(8, 1, true);
  control.view.setInt32(12, 1, true);
  const header = s.reserve(56);
  header.view.setBigUint64(16, BigInt(iov.address), true);
  header.view.setBigUint64(24, 1n, true);
  header.view.setBigUint64(32, BigInt(control.address), true);
  header.view.setBigUint64(40, BigInt(16 + 4 * count), true);
  return syscall(SYS.sendmsg, socket, header.address, 0);
}

test("a message with more descriptors than fit is refused, and none of them stays open", () => {
  const [left, right] = socketPair();
  expect(sendTooMany(left.number, 40)).toBe(1);
  const before = openFds();
  expect(refusal(() => receiveMessage(right))).toBe("EMSGSIZE");
  expect(openFds()).toBe(before);
  sendMessage(left, bytes("next"));
  expect(receiveMessage(right)?.data).toEqual(bytes("next"));
});

test("a message longer than the limit is refused, its descriptors closed", () => {
  const [left, right] = socketPair();
  using fd = open("/dev/null", O_RDONLY);
  sendMessage(left, new Uint8Array(101), [fd]);
  const before = openFds();
  expect(refusal(() => receiveMessage(right, 100))).toBe("EMSGSIZE");
  expect(openFds()).toBe(before);
});

test("a listening socket accepts what connects by its path", () => {
  const path = join(workDir, uniqueId());
  const listener = listenUnix(path, SOCK_SEQPACKET);
  const client = connectUnix(path, SOCK_SEQPACKET);
  const server = acceptUnix(listener);
  sendMessage(client, bytes("hello"), [client]);
  const message = receiveMessage(server);
  expect(message?.data).toEqual(bytes("hello"));
  expect(message?.fds).toHaveLength(1);
});

test("paths that no socket can have are refused, abstract names among them, and nothing is left open", () => {
  const before = openFds();
  expect(refusal(() => connectUnix(`/${"x".repeat(107)}`))).toBe("ENAMETOOLONG");
  expect(refusal(() => connectUnix(""))).toBe("EINVAL");
  expect(refusal(() => connectUnix("\0abstract"))).toBe("EINVAL");
  expect(refusal(() => connectUnix("/nowhere/socket"))).toBe("ENOENT");
  expect(refusal(() => listenUnix("\0abstract"))).toBe("EINVAL");
  expect(openFds()).toBe(before);
  expect(existsSync("/nowhere")).toBe(false);
});

test("the longest path, of 107 bytes, works", () => {
  const path = join(workDir, "p".repeat(107 - workDir.length - 1));
  expect(path).toHaveLength(107);
  listenUnix(path);
  connectUnix(path).close();
});
