/** Who plays the kernel for a container, from the weakest isolation to the strongest. */
export const MODES = ["namespace", "sentry"] as const;
export type Mode = (typeof MODES)[number];
