import { expect, test } from "vitest";
import { decideMode, type Mode } from "./mode.ts";

const NAME = "dev.tssandbox.mode";
interface Case {
  readonly flag?: Mode;
  readonly configured?: Mode;
  readonly floor?: Mode;
  readonly annotation?: string;
}

function decide({ flag, configured, floor, annotation }: Case): { mode: Mode; warnings: string[] } {
  const warnings: string[] = [];
  const mode = decideMode(flag, { mode: configured, floor }, annotation === undefined ? {} : { [NAME]: annotation }, { warn: (text) => warnings.push(text) });
  return { mode, warnings };
}

// No case ends in sentry mode by itself: who runs this may not be root.
test.each<[Case, Mode]>([
  [{ flag: "namespace" }, "namespace"],
  [{ configured: "namespace" }, "namespace"],
  [{ flag: "vm", configured: "namespace" }, "vm"],
  [{ flag: "namespace", configured: "vm" }, "namespace"],
  [{ configured: "namespace", annotation: "vm" }, "vm"],
  [{ flag: "namespace", annotation: "vm" }, "vm"],
  [{ floor: "vm" }, "vm"],
])("flag, configuration, annotation: %j", (given, mode) => expect(decide(given)).toEqual({ mode, warnings: [] }));

test("an annotation that asks for less is told of", () => {
  expect(decide({ flag: "vm", annotation: "namespace" })).toEqual({ mode: "vm", warnings: [expect.stringContaining("cannot lower the isolation")] });
});

test("a flag below the floor is refused", () => {
  expect(() => decide({ flag: "namespace", floor: "sentry" })).toThrow("mode namespace is below the floor of this host's configuration, sentry");
});

test("an annotation that is no mode is refused", () => expect(() => decide({ flag: "vm", annotation: "none" })).toThrow(NAME));
