/** Who plays the kernel for a container. */
import { accessSync, constants } from "node:fs";
import type { Logger } from "../log.ts";
import type { Named } from "./group.ts";
import { ConfigError } from "../spec/report.ts";

/** From the weakest isolation to the strongest. */
export const MODES = ["namespace", "sentry", "vm"] as const;
export type Mode = (typeof MODES)[number];

const FUSE = "/dev/fuse";
const DEFAULT: Mode = "sentry";
const ANNOTATION = "dev.tssandbox.mode";

const isMode = (name: string): name is Mode => MODES.some((mode) => mode === name);

/** What the host's administrator says: runtime/config/schema.ts. */
export interface ModeRules {
  readonly mode?: Mode | undefined;
  readonly floor?: Mode | undefined;
}

export const isBelow = (mode: Mode, floor: Mode): boolean => MODES.indexOf(mode) < MODES.indexOf(floor);

/** @returns undefined where none is given. */
export const strongest = (modes: readonly (Mode | undefined)[]): Mode | undefined => MODES.findLast((mode) => modes.includes(mode));

/**
 * What the command line says, or else the configuration, or else the default. By annotation a container may ask for more isolation than that, never
 * for less: engines take annotations over from the image, which nobody trusts. Decisions 0018, 0045.
 * @param given by the command line or the environment; undefined: by neither.
 * @param joined its mode is the container's.
 * @throws ConfigError for a mode that does not exist, or one of more isolation than the sandbox has that is joined; Error for one below the floor, or where a sandbox was asked for and cannot be.
 */
export function decideMode(given: Mode | undefined, rules: ModeRules, annotations: Readonly<Record<string, string>>, log: Pick<Logger, "warn">, joined?: Named): Mode {
  const { floor = "namespace" } = rules;
  if (given !== undefined && isBelow(given, floor)) throw new Error(`mode ${given} is below the floor of this host's configuration, ${floor}`);
  const asked = askedFor(annotations);
  const wanted = given ?? rules.mode;
  const least = strongest([wanted ?? DEFAULT, asked, floor]) ?? DEFAULT;
  const mode = joined === undefined ? least : modeOf(joined, least, asked === least ? `annotations["${ANNOTATION}"]` : joined.annotation);
  if (asked !== undefined && asked !== mode) log.warn(`the annotation ${ANNOTATION}=${asked} cannot lower the isolation: the mode is ${mode}; --mode ${asked} or TSSANDBOX_MODE=${asked} can`);
  const obstacle = mode === "sentry" ? obstacleToSandbox() : undefined;
  if (obstacle === undefined) return mode;
  if ([wanted, asked, floor].includes("sentry")) throw new Error(`sentry mode: ${obstacle}; use --mode namespace`);
  log.warn(`namespace mode, which leaves the host's kernel in reach, since ${obstacle}; --mode namespace says that this is meant`);
  return "namespace";
}

function askedFor(annotations: Readonly<Record<string, string>>): Mode | undefined {
  const asked = annotations[ANNOTATION];
  if (asked === undefined || isMode(asked)) return asked;
  throw new ConfigError("config.json", `annotations["${ANNOTATION}"]`, `must be one of ${MODES.join(", ")}, is ${JSON.stringify(asked)}`);
}

/** @param why the field that is to be blamed. */
function modeOf({ first: { record: { id, mode } } }: Named, least: Mode, why: string): Mode {
  if (!isBelow(mode, least)) return mode;
  throw new ConfigError("config.json", why, `the sandbox ${id} is in ${mode} mode, which isolates less than the ${least} mode that is asked for: all containers of a sandbox have its mode`);
}

/** Why this caller cannot have a sandbox, if so. */
function obstacleToSandbox(): string | undefined {
  try {
    accessSync(FUSE, constants.R_OK | constants.W_OK);
    return undefined;
  } catch {
    return `this user may not open ${FUSE}, by which a sandbox gets its files`;
  }
}
