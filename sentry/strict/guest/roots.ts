/**
 * Where names begin. Until a task of the guest's asks for another root (chroot(2)) all of them have the first one's, and so has the sentry. From then on it looks before each
 * call which one the caller has, as the kernel says: roots are inherited, and shared by threads. To change it is the kernel's work, as chdir(2) is.
 */
import { AT_STATX_DONT_SYNC, O_DIRECTORY, O_PATH } from "../../../linux/abi/fcntl.ts";
import { STATX_SIZE } from "../../../linux/abi/statx.ts";
import { Fd } from "../../../linux/fd.ts";
import { fileSystemMagic, openAt } from "../../../linux/file.ts";
import { madeBy } from "../../../linux/made-by.ts";
import { permanentBlock, scratch } from "../../../linux/memory.unsafe.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { changeDirectoryTo, changeRoot } from "../../../linux/process.ts";

/** The inode's number and the mount's, STATX_INO and STATX_MNT_ID. */
const MASK = 0x1100;
const OFFSET = { inode: 0x20, mount: 0x90 } as const;
const AT_FDCWD = -100;
const PROC_SUPER_MAGIC = 0x9fa0;
const looked = permanentBlock(STATX_SIZE);

export class Roots {
  readonly #proc: Fd;
  readonly #asSentry: () => void;
  #first = "";
  #current = "";
  #areSeveral = false;
  #hasProc = true;

  /** @param asSentry takes the sentry's own identity. */
  constructor(proc: Fd, asSentry: () => void) {
    this.#proc = proc;
    this.#asSentry = asSentry;
  }

  /** The caller's root is not the guest's first: volumes are not where the configuration says. */
  get isElsewhere(): boolean {
    return this.#current !== this.#first;
  }

  /** Whether names of /proc are those of a procfs. */
  get hasProc(): boolean {
    return this.#hasProc;
  }

  /** Takes the guest's first root. Preconditions: the sentry's own identity. */
  enter(task: number): void {
    using root = openAt(this.#proc, `${task}/root`, O_PATH | O_DIRECTORY);
    changeRoot(root);
    changeDirectoryTo(this.#proc);
    this.#first = this.#current = this.#keyOf(task) ?? "";
    this.#hasProc = true;
  }

  leave(own: Fd): void {
    changeRoot(own);
    this.#areSeveral = false;
  }

  /** A task may get another root. */
  mayDiffer(): void {
    this.#areSeveral = true;
  }

  /** Takes that of the task whose call is handled next. One that cannot be looked into is the runtime's still, and has no names yet. @throws SysError */
  follow(task: number): void {
    if (!this.#areSeveral) return;
    madeBy(undefined);
    let key = this.#keyOf(task);
    if (key === undefined) {
      this.#asSentry();
      key = this.#keyOf(task);
    }
    if (key === undefined || key === this.#current) return;
    this.#asSentry();
    using s = scratch();
    const opened = kernel.open(this.#proc.number, s.cstr(`${task}/root`), O_PATH | O_DIRECTORY, 0, 0);
    if (opened < 0) return;
    using root = new Fd(opened);
    changeRoot(root);
    changeDirectoryTo(this.#proc);
    this.#current = key;
    this.#hasProc = !this.isElsewhere || hasProcfs();
  }

  #keyOf(task: number): string | undefined {
    using s = scratch();
    const result = kernel.statx(this.#proc.number, s.cstr(`${task}/root`), AT_STATX_DONT_SYNC, MASK, looked.address);
    return result < 0 ? undefined : `${looked.view.getBigUint64(OFFSET.mount, true)}:${looked.view.getBigUint64(OFFSET.inode, true)}`;
  }
}

function hasProcfs(): boolean {
  using s = scratch();
  const opened = kernel.open(AT_FDCWD, s.cstr("/proc"), O_PATH | O_DIRECTORY, 0, 0);
  if (opened < 0) return false;
  using proc = new Fd(opened);
  return fileSystemMagic(proc.number) === PROC_SUPER_MAGIC;
}
