/** `pause` and `resume` in mode vm: the whole machine, or in one that others are in, too, the container's processes in the guest. */
import { markPaused } from "../container/status.ts";
import type { Container } from "../container/store.ts";
import { askAgent } from "./ask.ts";
import { controlMachine } from "./control.ts";
import { isAlone } from "./group.ts";

/** @throws Error */
export function pauseInMachine(container: Container): void {
  if (isAlone(container)) controlMachine(container.directory, { do: "pause" });
  else askAgent(container, { do: "freeze" });
  markPaused(container, true);
}

/** @throws Error */
export function resumeInMachine(container: Container): void {
  if (isAlone(container)) controlMachine(container.directory, { do: "resume" });
  else askAgent(container, { do: "thaw" });
  markPaused(container, false);
}
