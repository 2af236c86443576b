/** Telling a container's VMM what to do (vmm/control.ts). */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { inStep } from "../../linux/errors.ts";
import { open, read, writeAll } from "../../linux/file.ts";
import { connectUnix } from "../../linux/socket.ts";
import type { ControlCommand } from "../../vmm/control.ts";
import type { Container } from "../container/store.ts";

export const CONTROL = "control.sock";
const ANSWER_LIMIT = 4096;

/** @throws SysError; Error with the VMM's reason */
export function controlMachine({ directory }: Container, command: ControlCommand): void {
  inStep("virtual machine", () => {
    using path = open(directory, fcntl.O_PATH | fcntl.O_DIRECTORY);
    using socket = connectUnix(`${path.procPath}/${CONTROL}`);
    writeAll(socket, `${JSON.stringify(command)}\n`);
    let line = "";
    while (!line.includes("\n") && line.length < ANSWER_LIMIT) {
      const part = read(socket, ANSWER_LIMIT);
      if (part.length === 0) throw new Error("it has ended");
      line += Buffer.from(part).toString("utf8");
    }
    const { error } = JSON.parse(line) as { readonly error?: unknown };
    if (error !== undefined) throw new Error(String(error).slice(0, ANSWER_LIMIT));
  });
}
