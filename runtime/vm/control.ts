/** Telling a VMM what to do (vmm/control.ts). */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { inStep } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { open, read } from "../../linux/file.ts";
import { connectUnix, sendMessage } from "../../linux/socket.ts";
import type { ControlCommand } from "../../vmm/control.ts";

export const CONTROL = "control.sock";
const ANSWER_LIMIT = 4096;

/**
 * @param directory with the machine's sockets. @param fds go along.
 * @returns what the VMM answers besides. @throws SysError; Error with the VMM's reason
 */
export function controlMachine(directory: string, command: ControlCommand, fds: readonly Fd[] = []): Readonly<Record<string, unknown>> {
  return inStep("virtual machine", () => {
    using path = open(directory, fcntl.O_PATH | fcntl.O_DIRECTORY);
    using socket = connectUnix(`${path.procPath}/${CONTROL}`);
    sendMessage(socket, Buffer.from(`${JSON.stringify(command)}\n`), fds);
    let line = "";
    while (!line.includes("\n") && line.length < ANSWER_LIMIT) {
      const part = read(socket, ANSWER_LIMIT);
      if (part.length === 0) throw new Error("it has ended");
      line += Buffer.from(part).toString("utf8");
    }
    const answer = JSON.parse(line) as Readonly<Record<string, unknown>>;
    if (answer["error"] !== undefined) throw new Error(String(answer["error"]).slice(0, ANSWER_LIMIT));
    return answer;
  });
}
