// What a program has written through a mapping reaches the volume, however the program ends: the gofer outlives all that the kernel still writes.
import { mkdirSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import { installGuest, SENTRY } from "./support.ts";

/** Takes the kernel half a second to write back. */
const MIB = 256;
const PAGE = 4096;

const pagesWritten = (file: string): number => {
  const data = readFileSync(file);
  return Array.from({ length: data.length / PAGE }, (_, i) => data[i * PAGE]).filter((byte) => byte === 0x78).length;
};

describeRuntime("what is written through a mapping of a volume's file", ({ test, make }) => {
  const writer = (...more: string[]) => {
    const c = make({
      args: ["/map-write", "/volume/file", String(MIB), ...more],
      edit: (spec, bundle) => {
        mkdirSync(bundle.path("volume"));
        spec.mounts.push({ destination: "/volume", type: "bind", source: bundle.path("volume"), options: ["bind"] });
      },
    });
    installGuest(c, "map-write");
    return c;
  };

  test("is there after its program's end", async () => {
    await using c = writer();
    expect(await c.run(SENTRY)).toMatchObject({ code: 0, stderr: "" });
    expect(pagesWritten(c.bundle.path("volume/file"))).toBe((MIB << 20) / PAGE);
  });

  test("is there after delete", async () => {
    await using c = writer("stay");
    await c.mustBegin(SENTRY);
    await c.outputMatching(/written/);
    expect(await c.delete("--force")).toMatchObject({ code: 0, stderr: "" });
    expect(pagesWritten(c.bundle.path("volume/file"))).toBe((MIB << 20) / PAGE);
  });
});
