/** What a user sees while the bench runs: on a terminal the step in one line that is written over, else only the headings. */
import { writeSync } from "node:fs";
import process from "node:process";

export interface Progress {
  /** A line that stays. */
  say(text: string): void;
  /** What goes on now. */
  step(text: string): void;
  /** Takes the last step from the terminal. */
  end(): void;
}

const STDERR = 2;
const CLEAR_LINE = "\r\x1b[K";

export function makeProgress(terminal = process.stderr.isTTY, write: (text: string) => void = (text) => void writeSync(STDERR, text)): Progress {
  const started = performance.now();
  const stamp = () => {
    const seconds = Math.floor((performance.now() - started) / 1000);
    return `[${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}]`;
  };
  const clear = terminal ? CLEAR_LINE : "";
  return {
    say: (text) => write(`${clear}${stamp()} ${text}\n`),
    step: (text) => {
      if (terminal) write(`${clear}${`${stamp()} ${text}`.slice(0, (process.stderr.columns ?? 80) - 1)}`);
    },
    end: () => write(clear),
  };
}
