/** Spares, the parent's side: see runtime/init/spare.ts. For a process that lives on and makes containers again and again. */
import { POLLIN } from "../../linux/abi/poll.ts";
import { check } from "../../linux/errors.ts";
import type { Fd } from "../../linux/fd.ts";
import { tryClone } from "../../linux/fork.unsafe.ts";
import { dropInherited, type NodesOwn } from "../../linux/inherited.unsafe.ts";
import { poll } from "../../linux/poll.ts";
import { getPid } from "../../linux/process.ts";
import { isPeerGone, MAX_FDS, sendMessage, socketPair } from "../../linux/socket.ts";
import type { ContainerLaunch } from "../init/launch.ts";
import { fromWire, receive } from "../init/protocol.ts";
import type { Kept } from "../init/rehearsal.ts";
import { DESCRIPTORS_ONLY, ORDER_LIMIT, runSpare } from "../init/spare.ts";
import { canBeOrdered, encodeOrder } from "../init/spare-order.ts";

/** A process that is to become a container's init. Whoever forks it reaps it, after `dispose` or the container's start. */
export class Spare implements Disposable {
  readonly pid: number;
  /** For a child that is to take the spare in its parent's place, and closes what it inherits. */
  readonly socket: Fd;
  readonly #made: readonly Kept[];
  #state: "rehearsing" | "ready" | "gone" = "rehearsing";

  private constructor(pid: number, socket: Fd, made: readonly Kept[]) {
    this.pid = pid;
    this.#made = made;
    this.socket = socket;
  }

  /**
   * @param own as the parent, a process with Node's event loop, had it at its start.
   * @param made namespaces that are made ahead: the spare then serves containers alone that have them of their own. @throws SysError
   */
  static fork({ resources, signalPipe }: NodesOwn, made: readonly Kept[] = []): Spare {
    const [ours, theirs] = socketPair();
    const parent = getPid();
    const body = () => {
      dropInherited([theirs, ...signalPipe], resources);
      return runSpare(theirs, parent, made);
    };
    const pid = check(tryClone({ namespaces: 0, cgroup: undefined }, body), "clone3");
    theirs.close();
    return new Spare(pid, ours, made);
  }

  /** Waits until it can be taken: some 15 ms. @throws what it failed at. */
  awaitReady(): void {
    if (this.#state === "ready") return;
    const message = receive(this.socket);
    if (message?.kind === "failed") throw fromWire(message.error);
    if (message === undefined) throw new Error("the spare has ended");
    this.#state = "ready";
  }

  /**
   * Has it become the init of a container, as a child of the spare's parent.
   * @returns false where it cannot: the launch has something that no order can tell, or the spare is not ready, or has ended.
   */
  take(launch: ContainerLaunch): boolean {
    if (!canBeOrdered(launch) || !this.#made.every((file) => launch.create.includes(file)) || !this.#isReady()) return false;
    const { text, fds } = encodeOrder(launch, this.#made);
    if (Buffer.byteLength(text) > ORDER_LIMIT) return false;
    try {
      this.#send(text, [0, 1, 2, ...fds]);
    } catch (error) {
      if (isPeerGone(error)) return false;
      throw error;
    } finally {
      this[Symbol.dispose]();
    }
    return true;
  }

  #isReady(): boolean {
    if (this.#state === "rehearsing" && poll([{ fd: this.socket, events: POLLIN }], 0)[0] !== 0) {
      try {
        this.awaitReady();
      } catch {
        this[Symbol.dispose]();
      }
    }
    return this.#state === "ready";
  }

  #send(text: string, fds: readonly (Fd | number)[]): void {
    for (let i = 0; i < fds.length; i += MAX_FDS) sendMessage(this.socket, DESCRIPTORS_ONLY, fds.slice(i, i + MAX_FDS));
    sendMessage(this.socket, Buffer.from(text));
  }

  /** One that nobody has taken ends. */
  [Symbol.dispose](): void {
    this.#state = "gone";
    this.socket.close();
  }
}
