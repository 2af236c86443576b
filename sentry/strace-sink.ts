/** Where the sentry writes what it tells of calls. Whoever should read it may be slow, or the guest itself: the sandbox does not wait for them for long. */
import { POLLOUT } from "../linux/abi/poll.ts";
import type { Fd } from "../linux/fd.ts";
import { writeAll } from "../linux/file.ts";
import { PollSet } from "../linux/poll-set.ts";
import type { Sink } from "./strace.ts";

const PATIENCE_MS = 1000;
/** Fits into a pipe that has room for anything (pipe(7), PIPE_BUF), whatever the form of the line. */
const LONGEST = 3000;

export class BoundedSink implements Sink {
  readonly #fd: Fd;
  readonly #form: (line: string) => string;
  readonly #set = new PollSet(1);
  #lost = 0;

  /** @param form makes a line of the log of a line. */
  constructor(fd: Fd, form: (line: string) => string) {
    this.#fd = fd;
    this.#form = form;
    this.#set.add(fd, POLLOUT);
  }

  /** Once the time has passed, lines are lost until there is room again, which is then told. */
  print(line: string): void {
    const lost = this.#lost;
    if (this.#set.wait(lost > 0 ? 0 : PATIENCE_MS) === 0 || !this.#write(lost > 0 ? `${lost} lines were lost` : line)) this.#lost++;
    else if (lost > 0) {
      this.#lost = 0;
      this.print(line);
    }
  }

  #write(line: string): boolean {
    try {
      writeAll(this.#fd, `${this.#form(line.length > LONGEST ? `${line.slice(0, LONGEST)}...` : line)}\n`);
      return true;
    } catch {
      // Nobody is left to read.
      return false;
    }
  }

  close(): void {
    this.#fd.close();
  }
}
