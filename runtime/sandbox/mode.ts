/** Who plays the kernel for a container. */
import { effectiveUid } from "../../linux/credentials.ts";
import { inUserNamespace } from "../container/id-maps.ts";
import type { Logger } from "../log.ts";
import { ConfigError } from "../spec/report.ts";

/** From the weakest isolation to the strongest. */
export const MODES = ["namespace", "sentry", "vm"] as const;
export type Mode = (typeof MODES)[number];

const DEFAULT: Mode = "sentry";
const ANNOTATION = "dev.tssandbox.mode";

const isMode = (name: string): name is Mode => MODES.some((mode) => mode === name);

/**
 * What the command line says, or else the default. By annotation a container may ask for more isolation than that, never for less: engines
 * take annotations over from the image, which nobody trusts. Decision 0018.
 * @param given by the command line or the environment; undefined: by neither.
 * @throws ConfigError for a mode that does not exist; Error where a sandbox was asked for and cannot be.
 */
export function decideMode(given: Mode | undefined, annotations: Readonly<Record<string, string>>, log: Pick<Logger, "warn">): Mode {
  const asked = askedFor(annotations);
  const mode = strongest([given ?? DEFAULT, ...(asked === undefined ? [] : [asked])]);
  if (asked !== undefined && asked !== mode) log.warn(`the annotation ${ANNOTATION}=${asked} cannot lower the isolation: the mode is ${mode}; --mode ${asked} or TSSANDBOX_MODE=${asked} can`);
  const obstacle = mode === "sentry" ? obstacleToSandbox() : undefined;
  if (obstacle === undefined) return mode;
  if (given === "sentry" || asked === "sentry") throw new Error(`sentry mode: ${obstacle}; use --mode namespace`);
  log.warn(`namespace mode, which leaves the host's kernel in reach, since ${obstacle}; --mode namespace says that this is meant`);
  return "namespace";
}

function askedFor(annotations: Readonly<Record<string, string>>): Mode | undefined {
  const asked = annotations[ANNOTATION];
  if (asked === undefined || isMode(asked)) return asked;
  throw new ConfigError("config.json", `annotations["${ANNOTATION}"]`, `must be one of ${MODES.join(", ")}, is ${JSON.stringify(asked)}`);
}

const strongest = (modes: readonly Mode[]): Mode => MODES.findLast((mode) => modes.includes(mode)) ?? DEFAULT;

/** Why this caller cannot have a sandbox, if so. */
function obstacleToSandbox(): string | undefined {
  return effectiveUid() !== 0 || inUserNamespace() ? "a sandbox takes root so far, to give it ids of its own" : undefined;
}
