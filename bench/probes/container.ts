/** The containers in which the probes run: a root file system with nothing but the probe, as an engine would start it. */
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defaultProfile } from "../../policies/profiles/namespace-default.ts";
import type { LinuxResources, LinuxSeccomp, Spec } from "../../runtime/spec/config.ts";
import { likeAnEngine, makeBundle, type BenchBundle } from "../bundle.ts";
import type { Run } from "../hold.ts";
import { failureOf } from "../runtimes.ts";
import { compile } from "../work.ts";

export const PROGRAM = "/probe";

const GUEST = "bench/probes/guest/";

/** The probe as a static program. @throws Error where there is no C compiler. */
export const probeProgram = () => compile(`${GUEST}probe.c`, ["surface", "leaks", "escapes", "hunt", "attack"].map((part) => `${GUEST}${part}.c`));

export interface ProbeContainer {
  /** Of the probe. */
  readonly args: readonly string[];
  /** With a seccomp profile like docker's, as engines give one; without any the runtime's own confinement shows. */
  readonly profile?: boolean;
  readonly resources?: LinuxResources;
  readonly fillVolume?: (volume: string) => void;
  readonly edit?: (spec: Spec) => Spec;
}

/** Of a run that did not tell what it should have. */
export const whyOf = (run: Run): string => (run.kind === "failed" ? run.why : run.code === 0 ? "no output" : failureOf(run));

/** Root inside, docker's capabilities, a writable root file system with /tmp. */
export function probeBundle({ args, profile = false, resources, fillVolume, edit = (spec) => spec }: ProbeContainer): BenchBundle {
  return makeBundle({
    args: [PROGRAM, ...args],
    fill: fillRoot,
    ...(fillVolume !== undefined && { fillVolume }),
    edit: (spec) => {
      const engine = likeAnEngine(spec);
      const seccomp = defaultProfile(engine.process?.capabilities?.effective ?? []) as LinuxSeccomp;
      const linux = { ...engine.linux, resources: { ...engine.linux?.resources, ...resources }, ...(profile && { seccomp }) };
      return edit({ ...engine, linux });
    },
  });
}

function fillRoot(rootfs: string): void {
  copyFileSync(probeProgram(), join(rootfs, PROGRAM));
  chmodSync(join(rootfs, PROGRAM), 0o755);
  mkdirSync(join(rootfs, "tmp"));
  // Without it the probe does nothing.
  writeFileSync(join(rootfs, "this-is-a-probe-container"), "");
}
