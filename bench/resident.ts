/** The resident parent of bench/suites/resident.ts, `BUNDLE MODE`: a line with an id on standard input, a line with the milliseconds on standard output. */
import process from "node:process";
import { createInterface } from "node:readline";
import { nodesOwn } from "../linux/inherited.unsafe.ts";
import { waitPid } from "../linux/process.ts";
import { createContainer } from "../runtime/container/create.ts";
import { destroyContainer } from "../runtime/container/delete.ts";
import { Spare } from "../runtime/container/spare.ts";
import { startContainer } from "../runtime/container/start.ts";
import { MODES, type Mode } from "../runtime/sandbox/mode.ts";
import { log, optionsOf } from "./resident-options.ts";

const [bundle = "", name = ""] = process.argv.slice(2);
const mode = checkedMode(name);

const own = nodesOwn();
let spare: Spare | undefined;

function runOnce(id: string): number {
  const start = performance.now();
  const container = createContainer(optionsOf(bundle, id, { mode, spare }));
  startContainer(container);
  waitPid(container.record.pid);
  destroyContainer(container, log);
  return performance.now() - start;
}

/** Before the answer, so that nobody else's measurement is disturbed by it. */
function renewSpare(): void {
  if (mode !== "namespace") return;
  spare?.[Symbol.dispose]();
  if (spare !== undefined) waitPid(spare.pid);
  spare = Spare.fork(own, ["net"]);
  spare.awaitReady();
}

/** A full collection when everything has been used for the first time: children share what is left. */
const WARM = 3;
let served = 0;

createInterface({ input: process.stdin }).on("line", (id) => {
  const time = runOnce(id);
  if (++served === WARM) globalThis.gc?.();
  if (served >= WARM) renewSpare();
  process.stdout.write(`${time}\n`);
});

function checkedMode(name: string): Mode {
  const mode = MODES.find((one) => one === name);
  if (mode === undefined) throw new Error(`no mode: ${name}`);
  return mode;
}
