/** containerd-shim-tssandbox-v1: bin/containerd-shim-tssandbox-v1 runs this, bundled. Source: containerd, runtime/v2/README.md. */
import { readFileSync, writeSync } from "node:fs";
import process from "node:process";
import { messageOf } from "../linux/errors.ts";
import { userArguments } from "../runtime/inherited-limits.ts";
import { versionText } from "../runtime/version.ts";
import { parseArguments } from "./arguments.ts";
import { deleteRemains } from "./delete.ts";
import { runtimeInfo } from "./info.ts";
import { start } from "./start.ts";

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;

function run(): void {
  const args = parseArguments(userArguments());
  switch (args.action) {
    case "start":
      return start(args);
    case "delete":
      writeSync(STDOUT, deleteRemains(args));
      return;
    case "info":
      writeSync(STDOUT, runtimeInfo(readFileSync(STDIN)));
      return;
    case "version":
      writeSync(STDOUT, `${versionText()}\n`);
      return;
    default:
      throw new Error(`${args.action === "" ? "no command" : `unknown command: ${args.action}`}; containerd calls this program with start or delete`);
  }
}

try {
  run();
} catch (error) {
  writeSync(STDERR, `containerd-shim-tssandbox-v1: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
