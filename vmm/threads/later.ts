import type { Loop } from "./loop.ts";

/** One thing to be done after a while: asked for again meanwhile, by a guest that notifies without end, it is still done once. */
export class Later {
  #due = false;

  get due(): boolean {
    return this.#due;
  }

  after(loop: Loop, milliseconds: number, action: () => void): void {
    if (this.#due) return;
    this.#due = true;
    loop.after(milliseconds, () => {
      this.#due = false;
      action();
    });
  }
}
