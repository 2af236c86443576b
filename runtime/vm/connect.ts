/** From the host to the agent in a guest, by way of the VMM's socket in the state directory. */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { POLLIN, POLLOUT } from "../../linux/abi/poll.ts";
import type { Fd } from "../../linux/fd.ts";
import { open, read, writeAll } from "../../linux/file.ts";
import { poll } from "../../linux/poll.ts";
import { randomBytes } from "../../linux/random.ts";
import { now, sleepMs } from "../../linux/sleep.ts";
import { connectUnix } from "../../linux/socket.ts";
import { Channel } from "./channel.ts";
import { AGENT_PORT, FRAME, MAX_AGENT_FRAME, parseFromAgent, type FromAgent, type FromHost } from "./protocol.ts";

export const VSOCK = "vsock.sock";
const RETRY_MS = 50;
const GREETING_LIMIT = 32;

/** Connects, again and again while the guest boots. @param alive asked meanwhile: throws where there is no use in waiting. @throws Error */
export function connectToAgent(directory: string, timeoutMs: number, alive: () => void): Channel {
  const end = now() + timeoutMs;
  while (now() < end) {
    alive();
    const socket = tryConnect(directory, end, alive);
    if (socket !== undefined) return new Channel(socket, MAX_AGENT_FRAME);
    sleepMs(RETRY_MS);
  }
  throw new Error(`the guest has not come up within ${timeoutMs / 1000} s`);
}

function tryConnect(directory: string, end: number, alive: () => void): Fd | undefined {
  using path = open(directory, fcntl.O_PATH | fcntl.O_DIRECTORY);
  const socket = connectUnix(`${path.procPath}/${VSOCK}`);
  writeAll(socket, `CONNECT ${AGENT_PORT}\n`);
  if (readGreeting(socket, end, alive).startsWith("OK ")) return socket;
  socket.close();
  return undefined;
}

/** Byte by byte, so that what follows stays in the socket. */
function readGreeting(socket: Fd, end: number, alive: () => void): string {
  let line = "";
  while (line.length < GREETING_LIMIT && now() < end) {
    alive();
    if (poll([{ fd: socket, events: POLLIN }], 100)[0] === 0) continue;
    const byte = readByte(socket);
    if (byte === "" || byte === "\n") return line;
    line += byte;
  }
  return "";
}

function readByte(socket: Fd): string {
  try {
    return Buffer.from(read(socket, 1)).toString("latin1");
  } catch {
    // Reset: nobody listens in the guest yet.
    return "";
  }
}

export const fresh = () => ({ time: Date.now(), seed: randomBytes(64).toString("base64") });

/** Asks for a process, and waits until the agent has made it. @throws Error with the agent's reason. */
export function request(channel: Channel, message: FromHost, alive: () => void): void {
  if (talk(channel, message, alive).kind !== "created") throw new Error("the agent in the guest answers what was not asked");
}

/** Says something and waits for the answer. @param alive throws where there is no use in waiting. @throws Error with the agent's reason. */
export function talk(channel: Channel, message: FromHost, alive: () => void): FromAgent {
  channel.say(message);
  for (;;) {
    alive();
    const [happened = 0] = poll([{ fd: channel.fd, events: channel.events(true) }], 100);
    if (happened === 0) continue;
    channel.flush();
    if ((happened & ~POLLOUT) !== 0) channel.read();
    const frame = channel.next();
    if (frame === undefined && channel.gone) throw new Error("the guest has gone away");
    if (frame === undefined) continue;
    if (frame.kind !== FRAME.json) throw new Error("the agent in the guest answers what was not asked");
    const answer = parseFromAgent(frame.content);
    if (answer.kind === "failed") throw new Error(`in the guest: ${answer.message}`);
    return answer;
  }
}
