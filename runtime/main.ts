/** The program: bin/tssandbox runs this, bundled. */
import { exitNow } from "../linux/process.ts";
import { runCli } from "./cli.ts";
import { userArguments } from "./inherited-limits.ts";

// Node's own way out takes milliseconds that a container's start would have to pay; everything is written synchronously.
void runCli(userArguments()).then(exitNow);
