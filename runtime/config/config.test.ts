import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { narrowed, parseConfig, readConfig } from "./config.ts";

const directory = mkdtempSync(join(tmpdir(), "tss-config-"));
afterAll(() => rmSync(directory, { recursive: true }));

describe("the file", () => {
  test("may be absent only where it is optional", () => {
    const path = join(directory, "none.json");
    expect(readConfig(path, true)).toEqual({});
    expect(() => readConfig(path, false)).toThrow(/ENOENT/);
  });

  test("that is there is read", () => {
    const path = join(directory, "config.json");
    writeFileSync(path, `{"floor":"sentry","vm":{"memoryMiB":256}}`);
    expect(readConfig(path, true)).toEqual({ floor: "sentry", vm: { memoryMiB: 256 } });
  });

  test("that cannot be read is not taken for absent", () => expect(() => readConfig(directory, true)).toThrow(/EISDIR/));
});

describe("refused", () => {
  test.each([
    [`{`, /^c\.json: is not valid JSON: /],
    [`[]`, "c.json: must not be a list"],
    [`3`, "c.json: must be an object"],
    [`{"moed":"sentry"}`, `c.json: moed: there is no such setting (did you mean "mode"?)`],
    [`{"vm":{"imag":"/x"}}`, `c.json: vm.imag: there is no such setting (did you mean "image"?)`],
    [`{"vm":[]}`, "c.json: vm: must not be a list"],
    [`{"vm":3}`, "c.json: vm: must be an object"],
    [`{"mode":"none"}`, "c.json: mode: must be one of namespace, sentry, vm"],
    [`{"root":"run"}`, "c.json: root: must be an absolute path"],
    [`{"systemdCgroup":"yes"}`, `c.json: systemdCgroup: must be a boolean, is "yes"`],
    [`{"network":{"egress":"permit x"}}`, `c.json: network.egress: "permit x": a rule is`],
    [`{"vm":{"memoryMiB":64}}`, "c.json: vm.memoryMiB: must be a whole number from 128 to 1048576"],
    [`{"mode":"namespace","floor":"sentry"}`, "c.json: mode: namespace is below the floor, sentry"],
  ])("%s", (text, message) => expect(() => parseConfig(text, "c.json")).toThrow(message));
});

const over = (host: string, own: string) => narrowed(parseConfig(host, "host"), parseConfig(own, "own"), "own");

describe("a handler's file over the host's", () => {
  test("replaces single values", () => {
    expect(over(`{"mode":"vm","log":{"file":"/l","debug":true}}`, `{"mode":"sentry","log":{"debug":false}}`)).toMatchObject({ mode: "sentry", log: { file: "/l", debug: false } });
  });

  test("raises the floor, and never lowers it", () => {
    expect(over(`{"floor":"sentry"}`, `{"floor":"vm"}`)).toMatchObject({ floor: "vm" });
    expect(over(`{"floor":"sentry"}`, `{"floor":"namespace"}`)).toMatchObject({ floor: "sentry" });
    expect(() => over(`{"floor":"sentry"}`, `{"mode":"namespace"}`)).toThrow("own: mode: namespace is below the floor, sentry");
  });
});
