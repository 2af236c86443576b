/** Stops that have been taken from the kernel and not been served yet. */
const MOST = 256;

export class Batch {
  readonly #pids = new Uint32Array(MOST);
  readonly #statuses = new Uint32Array(MOST);
  #count = 0;

  get isFull(): boolean {
    return this.#count === MOST;
  }

  add(pid: number, status: number): void {
    this.#pids[this.#count] = pid;
    this.#statuses[this.#count++] = status;
  }

  /** Takes what there is of one task: the last, which says how it is. */
  takeOf(pid: number): number | undefined {
    let found: number | undefined;
    for (let i = 0; i < this.#count; i++) {
      if (this.#pids[i] !== pid) continue;
      found = this.#statuses[i];
      this.#pids[i] = 0;
    }
    return found;
  }

  /** Takes all, one after the other. */
  serve(take: (pid: number, status: number) => void): void {
    for (let i = 0; i < this.#count; i++) {
      const pid = this.#pids[i] ?? 0;
      this.#pids[i] = 0;
      if (pid !== 0) take(pid, this.#statuses[i] ?? 0);
    }
    this.#count = 0;
  }
}
