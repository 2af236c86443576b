/**
 * What the sentry remembers of a task besides who it is: its working directory, open, and its mask of modes. Both are the kernel's (struct fs_struct), and tasks may share
 * them (CLONE_FS); only chdir(2), fchdir(2) and umask(2) change them, which trap and go on in the kernel. When they are over is known by their caller's next call: until then
 * nothing is remembered of anybody.
 */
import { O_DIRECTORY, O_PATH } from "../../../linux/abi/fcntl.ts";
import { SysError } from "../../../linux/errors.ts";
import type { Fd } from "../../../linux/fd.ts";
import { openAt } from "../../../linux/file.ts";
import type { GuestTasks } from "./tasks.ts";

interface Surrounding {
  directory: Fd | undefined;
  /** Of the directory, as it was looked up last. */
  path: string | undefined;
  mask: number | undefined;
  /** Whether its directory was asked for before: opening it pays from the second time on. */
  wasAsked: boolean;
}

export class Surroundings {
  readonly #proc: Fd;
  readonly #tasks: GuestTasks;
  readonly #byTask = new Map<number, Surrounding>();
  /** Whose call may be changing them now. */
  readonly #changing = new Set<number>();

  /** @param tasks say when one has ended (`forget`). */
  constructor(proc: Fd, tasks: GuestTasks) {
    this.#proc = proc;
    this.#tasks = tasks;
  }

  /** It is about to go on with a call that changes them. */
  changes(task: number): void {
    this.drop();
    // One that has ended does not go on.
    if (this.#tasks.get(task) !== undefined) this.#changing.add(task);
  }

  /** It makes a call: its last one is over. */
  calls(task: number): void {
    if (this.#changing.size > 0) this.#changing.delete(task);
  }

  /** A directory gets another name, and with it maybe all that are below. */
  renames(): void {
    for (const surrounding of this.#byTask.values()) surrounding.path = undefined;
  }

  forget(task: number): void {
    this.#changing.delete(task);
    this.#byTask.get(task)?.directory?.close();
    this.#byTask.delete(task);
  }

  /** Lets go of all directories. */
  drop(): void {
    for (const { directory } of this.#byTask.values()) directory?.close();
    this.#byTask.clear();
  }

  /**
   * The task's working directory, which is to be used at once. Preconditions: `isMadeHere` (linux/made-by.ts). @param pays whether it would be opened in any case.
   * @returns undefined where it does not pay to have it open, or cannot be had.
   */
  directory(task: number, pays: boolean): Fd | undefined {
    const known = this.#of(task);
    if (known === undefined || known.directory !== undefined) return known?.directory;
    const wasAsked = known.wasAsked;
    known.wasAsked = true;
    if (!pays && !wasAsked) return undefined;
    return (known.directory = this.#open(task));
  }

  /** The working directory's path, which may be that of a while ago if somebody outside has renamed what is above it. @param look for it, where it is not known. */
  path(task: number, look: () => string | undefined): string | undefined {
    const known = this.#of(task);
    return known === undefined ? look() : (known.path ??= look());
  }

  /** The mask of modes of files that the task makes. */
  mask(task: number): number {
    const known = this.#of(task);
    return known === undefined ? this.#tasks.umask(task) : (known.mask ??= this.#tasks.umask(task));
  }

  #open(task: number): Fd | undefined {
    try {
      return openAt(this.#proc, `${task}/cwd`, O_PATH | O_DIRECTORY);
    } catch (error) {
      if (error instanceof SysError) return undefined;
      throw error;
    }
  }

  #of(task: number): Surrounding | undefined {
    if (this.#changing.size > 0 || this.#tasks.get(task) === undefined || this.#tasks.isVolatile(task)) return undefined;
    let known = this.#byTask.get(task);
    if (known === undefined) this.#byTask.set(task, (known = { directory: undefined, path: undefined, mask: undefined, wasAsked: false }));
    return known;
  }
}
