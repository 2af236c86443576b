/**
 * The socket by which a VMM is told what to do: JSON, one message a line.
 *
 *   {"do":"pause"}                      {"ok":true}
 *   {"do":"resume"}                     {"ok":true}
 *   {"do":"snapshot","path":"/x"}       {"ok":true}          only while paused
 *   {"do":"balloon","megabytes":64}     {"ok":true}          what the guest is to give back
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
import { tryAccept } from "../linux/kvm-sockets.ts";
import { tryReadInto, tryWriteFrom } from "./devices/host-io.ts";
import type { Loop } from "./threads/loop.ts";

const command = v.variant("do", [
  v.strictObject({ do: v.literal("pause") }),
  v.strictObject({ do: v.literal("resume") }),
  v.strictObject({ do: v.literal("snapshot"), path: v.string() }),
  v.strictObject({ do: v.literal("balloon"), megabytes: v.pipe(v.number(), v.integer(), v.minValue(0)) }),
  v.strictObject({ do: v.literal("power-button") }),
  v.strictObject({ do: v.literal("stop") }),
]);
export type ControlCommand = v.InferOutput<typeof command>;

const MAX_LINE = 4096;

/** Listens; `act` carries a command out, or throws why not. */
export function serveControl(loop: Loop, at: FileConfig, act: (command: ControlCommand) => void): void {
  const listener = listenAt(at);
  setNonBlocking(listener);
  loop.watch(listener.number, POLLIN, () => {
    const socket = tryAccept(listener);
    if (socket !== undefined) serveClient(loop, socket, act);
  });
}

function serveClient(loop: Loop, socket: Fd, act: (command: ControlCommand) => void): void {
  setNonBlocking(socket);
  let received = Buffer.alloc(0);
  const end = () => {
    watch.stop();
    socket.close();
  };
  const watch = loop.watch(socket.number, POLLIN, () => {
    const buffer = new Uint8Array(MAX_LINE);
    const size = tryReadInto(socket.number, [buffer]);
    if (size === "later") return;
    if (size === 0 || size === "gone" || received.length + size > MAX_LINE) return end();
    received = Buffer.concat([received, buffer.subarray(0, size)]);
    for (let newline = received.indexOf("\n"); newline >= 0; newline = received.indexOf("\n")) {
      const line = received.toString("utf8", 0, newline);
      received = received.subarray(newline + 1);
      tryWriteFrom(socket.number, [Buffer.from(`${JSON.stringify(answer(line, act))}\n`)]);
    }
  });
}

function answer(line: string, act: (command: ControlCommand) => void): { ok: true } | { error: string } {
  try {
    act(v.parse(command, JSON.parse(line)));
    return { ok: true };
  } catch (error) {
    return { error: messageOf(error) };
  }
}
