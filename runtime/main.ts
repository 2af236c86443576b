/** The program: bin/tssandbox runs this, bundled. */
import { writeSync } from "node:fs";
import process from "node:process";
import { exitNow } from "../linux/process.ts";
import { runCli } from "./cli.ts";
import { userArguments } from "./inherited-limits.ts";

const BUG = 70; // EX_SOFTWARE of sysexits.h

/** What no command has caught is a bug of ours. The stack alone: Node would print the whole bundle, which is one line, before it. */
function reportBug(error: unknown): never {
  writeSync(2, `tssandbox: internal error: ${error instanceof Error ? error.stack : String(error)}\n`);
  return exitNow(BUG);
}

process.on("uncaughtException", reportBug);
// Node's own way out takes milliseconds that a container's start would have to pay; everything is written synchronously.
// Not before this module has come to its end: only then can parts of the program be loaded (scripts/parts.ts).
void Promise.resolve()
  .then(() => runCli(userArguments()))
  .then(exitNow, reportBug);
