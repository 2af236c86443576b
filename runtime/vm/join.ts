/** What a container brings along that joins a running machine: a gofer, as a child of its stand-in, attached to devices that are free. */
import { openSync } from "node:fs";
import { SIGNALS } from "../../linux/abi/signal.ts";
import { Fd } from "../../linux/fd.ts";
import { pipe } from "../../linux/file.ts";
import type { NodeResources } from "../../linux/inherited.unsafe.ts";
import { kill, shellCode, tryWaitPid, waitPid } from "../../linux/process.ts";
import type { Loan } from "../../gofer/export.ts";
import { controlMachine } from "./control.ts";
import { openLinks, startGofer } from "./machine.ts";

export interface JoinRequest {
  /** The state directory with the machine's sockets. */
  readonly machine: string;
  /** The container's own. */
  readonly directory: string;
  readonly loans: ReadonlyMap<string, Loan>;
  readonly resources: NodeResources;
}

export class JoinedMachine {
  /** The devices by the loans' names. */
  readonly tags: Readonly<Record<string, string>>;
  readonly #gofer: number;
  /** The gofer ends with it: the VMM keeps its end of the connections until the guest has done with them. */
  readonly #lifeline: Fd;

  private constructor(gofer: number, lifeline: Fd, tags: Readonly<Record<string, string>>) {
    this.#gofer = gofer;
    this.#lifeline = lifeline;
    this.tags = tags;
  }

  /** Preconditions: a forked process of one thread. @throws SysError; Error where the machine has no place left */
  static join({ machine, directory, loans, resources }: JoinRequest): JoinedMachine {
    const links = openLinks(loans);
    const [theirs, lifeline] = pipe();
    const log = new Fd(openSync(`${directory}/sandbox.log`, "a", 0o600));
    const gofer = startGofer(links, { log, lifeline: theirs, resources });
    for (const fd of [theirs, log]) fd.close();
    try {
      const tags = links.map(({ name, ends: [vmm] }) => [name, attach(machine, vmm)] as const);
      return new JoinedMachine(gofer, lifeline, Object.fromEntries(tags));
    } catch (error) {
      kill(gofer, SIGNALS.SIGKILL);
      waitPid(gofer);
      throw error;
    }
  }

  /** @throws Error where the gofer has ended. */
  check(): void {
    const status = tryWaitPid(this.#gofer)?.status;
    if (status !== undefined) throw new Error(`the gofer has ended with ${shellCode(status)}`);
  }

  /** The guest has done with the files. */
  end(): void {
    this.#lifeline.close();
    waitPid(this.#gofer);
  }
}

function attach(machine: string, connection: Fd): string {
  const { tag } = controlMachine(machine, { do: "attach" }, [connection]);
  connection.close();
  return String(tag);
}
