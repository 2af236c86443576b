/** The program: bin/tssandbox runs this, bundled. */
import process from "node:process";
import { exitNow } from "../linux/process.ts";
import { runCli } from "./cli.ts";

// Node's own way out takes milliseconds that a container's start would have to pay; everything is written synchronously.
void runCli(process.argv.slice(2)).then(exitNow);
