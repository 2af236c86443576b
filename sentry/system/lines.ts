import { file, type SyntheticFile } from "../../gofer/synthetic.ts";

/** A file of one line. */
export const line = (value: () => string | number): SyntheticFile => file(() => `${value()}\n`);

/** One that never changes. */
export const constant = (value: string | number): SyntheticFile => line(() => value);
