/** One process of a container, its init or an exec's, from Create to Delete. */
import { RpcError, CODE } from "./ttrpc/status.ts";
import type { Exit } from "./reaper.ts";
import type { ProcessStreams, StreamNames } from "./streams/streams.ts";

export type ProcessState =
  | { readonly kind: "created"; readonly pid: number }
  | { readonly kind: "running"; readonly pid: number }
  | { readonly kind: "stopped"; readonly pid: number; readonly exit: Exit };

export class ShimProcess {
  /** Empty for the container's init. */
  readonly execId: string;
  readonly names: StreamNames;
  /** Undefined for an exec that has not been started. */
  streams: ProcessStreams | undefined;
  #state: ProcessState = { kind: "created", pid: 0 };
  #exited: (exit: Exit) => void = () => {};
  /** Resolves when it has ended, and containerd has been told. */
  readonly exited = new Promise<Exit>((resolve) => void (this.#exited = resolve));
  /** What is being done to it: its end is told after that. */
  busy: Promise<unknown> = Promise.resolve();

  constructor(execId: string, names: StreamNames) {
    this.execId = execId;
    this.names = names;
  }

  get state(): ProcessState {
    return this.#state;
  }

  get pid(): number {
    return this.#state.pid;
  }

  exists(pid: number): void {
    this.#state = { kind: "created", pid };
  }

  /** Nothing where its end is known already. */
  runs(pid: number): void {
    if (this.#state.kind === "created") this.#state = { kind: "running", pid };
  }

  ends(exit: Exit): void {
    this.#state = { kind: "stopped", pid: this.pid, exit };
    this.#exited(exit);
  }

  /** Does `action` after what is being done already. */
  inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.busy.then(action);
    this.busy = turn.catch(() => undefined);
    return turn;
  }

  /** @throws RpcError where it is not in that state. */
  require(kind: ProcessState["kind"], verb: string): void {
    if (this.#state.kind !== kind) throw new RpcError(CODE.failedPrecondition, `cannot ${verb} a process that is ${this.#state.kind}`);
  }
}
