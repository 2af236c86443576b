/**
 * Faults on demand, for tests only (docs/decisions/0005). TSSANDBOX_FAULT=FILE[:fail|hold:STEP:N]: every step that a process of the runtime
 * comes to is appended to FILE as `STEP:N`, N counting equal names there. The one that is named fails, or waits until FILE has been removed:
 * whoever lives meanwhile can be killed there.
 */
import { fstatSync, openSync, readSync, writeSync } from "node:fs";
import process from "node:process";
import { sleepMs } from "./sleep.ts";

const POLL_MS = 2;

const [file, action, ...point] = process.env["TSSANDBOX_FAULT"]?.split(":") ?? [];
/** By descriptor, since the container's root does not have the path. Close-on-exec. */
const record = file === undefined ? undefined : openSync(file, "a+");

/** @returns whether the step must fail. */
export function faultAt(step: string): boolean {
  if (record === undefined) return false;
  const content = Buffer.alloc(fstatSync(record).size);
  readSync(record, content, 0, content.length, 0);
  const here = `${step}:${content.toString().split("\n").filter((line) => line.replace(/:\d+$/, "") === step).length + 1}`;
  writeSync(record, `${here}\n`);
  if (here !== point.join(":")) return false;
  if (action === "fail") return true;
  while (fstatSync(record).nlink > 0) sleepMs(POLL_MS);
  return false;
}
