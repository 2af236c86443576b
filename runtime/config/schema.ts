/** The administrator's configuration: /etc/tssandbox/config.json, and the file that names a handler of containerd's. docs/configuration.md tells each key. */
import { check, type InferOutput, integer, maxValue, minValue, number, optional, picklist, pipe, rawCheck, record, regex, strictObject, string, boolean } from "valibot";
import { messageOf } from "../../linux/errors.ts";
import { POLICY_NAMES } from "../../policies/syscalls/names.ts";
import { parseEgress } from "../network/egress-rules.ts";
import { MODES } from "../sandbox/mode.ts";

export const MEMORY_MIB = { least: 128, most: 1 << 20 } as const;
export const VCPUS = { least: 1, most: 32 } as const;
export const NET_BYTES = { least: 10_000, most: 10 ** 12 } as const;

const path = pipe(
  string(),
  regex(/^\//, "must be an absolute path"),
  check((text) => !text.includes("\0"), "must not contain a NUL byte"),
);
const mode = picklist(MODES, `must be one of ${MODES.join(", ")}`);
const within = ({ least, most }: { readonly least: number; readonly most: number }) => {
  const message = `must be a whole number from ${least} to ${most}`;
  return pipe(number(message), integer(message), minValue(least, message), maxValue(most, message));
};

function problemOf(parse: () => unknown): string | undefined {
  try {
    parse();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

export const ConfigSchema = strictObject({
  mode: optional(mode),
  floor: optional(mode),
  policy: optional(picklist(POLICY_NAMES, `must be one of ${POLICY_NAMES.join(", ")}`)),
  root: optional(path),
  systemdCgroup: optional(boolean()),
  hostSockets: optional(picklist(["annotation", "never"], "must be one of annotation, never")),
  network: optional(
    strictObject({
      egress: optional(
        pipe(
          string(),
          rawCheck(({ dataset, addIssue }) => {
            const problem = dataset.typed ? problemOf(() => parseEgress(dataset.value)) : undefined;
            if (problem !== undefined) addIssue({ message: problem });
          }),
        ),
      ),
    }),
  ),
  log: optional(
    strictObject({
      file: optional(path),
      format: optional(picklist(["text", "json"], "must be one of text, json")),
      debug: optional(boolean()),
    }),
  ),
  tracing: optional(strictObject({ endpoint: optional(pipe(string(), regex(/^https?:\/\/[^/]/, "must be an address of http or https"))) })),
  vm: optional(
    strictObject({
      image: optional(path),
      images: optional(record(pipe(string(), regex(/^[\w.-]{1,64}$/, "must be a name of letters, digits, '.', '_' and '-'")), path)),
      memoryMiB: optional(within(MEMORY_MIB)),
      vcpus: optional(within(VCPUS)),
      maxMemoryMiB: optional(within(MEMORY_MIB)),
      maxVcpus: optional(within(VCPUS)),
      hugePages: optional(picklist(["never", "annotation", "always"], "must be one of never, annotation, always")),
      netBytesPerSecond: optional(within(NET_BYTES)),
    }),
  ),
});

export type Config = Readonly<InferOutput<typeof ConfigSchema>>;

/** Of a host without one. */
export const NO_CONFIG: Config = {};
