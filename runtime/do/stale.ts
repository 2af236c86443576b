/** What sandboxes left behind whose runtime was killed: their processes have ended with it, their directories have not. */
import { lstatSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { effectiveUid } from "../../linux/credentials.ts";
import { isErrno, messageOf } from "../../linux/errors.ts";
import { EPERM } from "../../linux/abi/errno.ts";
import { kill } from "../../linux/process.ts";
import { deleteContainer } from "../container/delete.ts";
import type { Logger } from "../log.ts";

/** The ids and directories of sandboxes begin with the runtime's pid; where it is in use again, they stay until later. */
const OWNER = /^(?:tssandbox-)?do-(\d+)-[0-9a-f]{8}$/;

export const sandboxId = (random: string): string => `do-${process.pid}-${random}`;

export function removeStale(root: string, temporary: string, log: Logger): void {
  for (const id of abandoned(root)) quietly(log, () => deleteContainer(root, id, true, log));
  for (const name of abandoned(temporary)) quietly(log, () => removeDirectory(join(temporary, name)));
}

function abandoned(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => !isAlive(Number(OWNER.exec(name)?.[1] ?? process.pid)));
  } catch {
    return [];
  }
}

function isAlive(pid: number): boolean {
  try {
    return kill(pid, 0);
  } catch (error) {
    return isErrno(error, EPERM);
  }
}

function removeDirectory(path: string): void {
  const info = lstatSync(path);
  if (info.isDirectory() && info.uid === effectiveUid()) rmSync(path, { recursive: true, force: true });
}

/** Another runtime may be at it at the same time. */
function quietly(log: Logger, action: () => void): void {
  try {
    action();
  } catch (error) {
    log.debug(`stale sandbox: ${messageOf(error)}`);
  }
}
