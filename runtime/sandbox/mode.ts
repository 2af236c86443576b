/** Who plays the kernel for a container. */
import { ConfigError } from "../spec/report.ts";

/** From the weakest isolation to the strongest. */
export const MODES = ["namespace", "sentry"] as const;
export type Mode = (typeof MODES)[number];

const ANNOTATION = "dev.tssandbox.mode";

const isMode = (name: string): name is Mode => MODES.some((mode) => mode === name);

/** A container may ask, by annotation, for more isolation than the command line gives it, never for less. @throws ConfigError */
export function modeFor(given: Mode, annotations: Readonly<Record<string, string>> | undefined): Mode {
  const asked = annotations?.[ANNOTATION];
  if (asked === undefined) return given;
  if (!isMode(asked)) throw new ConfigError("config.json", `annotations["${ANNOTATION}"]`, `must be one of ${MODES.join(", ")}, is ${JSON.stringify(asked)}`);
  return MODES.indexOf(asked) > MODES.indexOf(given) ? asked : given;
}
