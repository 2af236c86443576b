/**
 * The socket by which a VMM is told what to do: JSON, one message a line.
 *
 *   {"do":"pause"}                      {"ok":true}
 *   {"do":"resume"}                     {"ok":true}
 *   {"do":"snapshot","path":"/x"}       {"ok":true}          only while paused; or without a path, and a descriptor of an empty file
 *   {"do":"balloon","megabytes":64}     {"ok":true}          what the guest is to give back
 *   {"do":"memory","megabytes":64}      {"ok":true,"requested":64,"plugged":0}   what the guest is to have beside what it booted with; or without a number, to ask
 *   {"do":"attach"}, and a descriptor   {"ok":true,"tag":"x"}   a gofer's connection, for a file system device that has none
 *   {"do":"power-button"}               {"ok":true}
 *   {"do":"stop"}                       {"ok":true}, then the end
 *   anything else                       {"error":"..."}
 *
 * Whoever can connect may do all of it: the socket's directory is what protects it.
 */
import * as v from "valibot";
import { POLLIN } from "../linux/abi/poll.ts";
import { messageOf } from "../linux/errors.ts";
import type { Fd } from "../linux/fd.ts";
import { listenAt, type FileConfig } from "./config.ts";
import { setNonBlocking } from "../linux/fcntl.ts";
import { MAX_FDS, receiveMessage, tryAccept, type Message } from "../linux/socket.ts";
import { tryWriteFrom } from "./devices/host-io.ts";
import type { Loop } from "./threads/loop.ts";

const command = v.variant("do", [
  v.strictObject({ do: v.literal("pause") }),
  v.strictObject({ do: v.literal("resume") }),
  v.strictObject({ do: v.literal("snapshot"), path: v.optional(v.string()) }),
  v.strictObject({ do: v.literal("balloon"), megabytes: v.pipe(v.number(), v.integer(), v.minValue(0)) }),
  v.strictObject({ do: v.literal("memory"), megabytes: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))) }),
  v.strictObject({ do: v.literal("attach") }),
  v.strictObject({ do: v.literal("power-button") }),
  v.strictObject({ do: v.literal("stop") }),
]);
export type ControlCommand = v.InferOutput<typeof command>;

const MAX_LINE = 4096;

/** Carries a command out, with the descriptors that came along: those it does not keep are closed. @returns what the answer tells besides. @throws Error why not */
type Act = (command: ControlCommand, fds: readonly Fd[]) => object | undefined;

export function serveControl(loop: Loop, at: FileConfig, act: Act): void {
  const listener = listenAt(at);
  setNonBlocking(listener);
  loop.watch(listener.number, POLLIN, () => {
    const socket = tryAccept(listener);
    if (socket !== undefined) serveClient(loop, socket, act);
  });
}

function serveClient(loop: Loop, socket: Fd, act: Act): void {
  setNonBlocking(socket);
  let received = Buffer.alloc(0);
  let fds: Fd[] = [];
  const end = () => {
    watch.stop();
    for (const fd of [socket, ...fds]) fd.close();
  };
  const watch = loop.watch(socket.number, POLLIN, () => {
    const message = receive(socket);
    if (message !== undefined) fds.push(...message.fds);
    if (message === undefined || received.length + message.data.length > MAX_LINE || fds.length > MAX_FDS) return end();
    received = Buffer.concat([received, message.data]);
    for (let newline = received.indexOf("\n"); newline >= 0; newline = received.indexOf("\n")) {
      const line = received.toString("utf8", 0, newline);
      received = received.subarray(newline + 1);
      tryWriteFrom(socket.number, [Buffer.from(`${JSON.stringify(answer(line, fds, act))}\n`)]);
      fds = [];
    }
  });
}

/** @returns undefined where the client is gone. */
function receive(socket: Fd): Message | undefined {
  try {
    return receiveMessage(socket, MAX_LINE);
  } catch {
    return undefined;
  }
}

function answer(line: string, fds: readonly Fd[], act: Act): { ok: true } | { error: string } {
  try {
    return { ok: true, ...act(v.parse(command, JSON.parse(line)), fds) };
  } catch (error) {
    return { error: messageOf(error) };
  } finally {
    for (const fd of fds) fd.close();
  }
}
