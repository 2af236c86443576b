import { describe, expect, test } from "vitest";
import { covers, parseEgress, parseTarget } from "./egress-rules.ts";
import { verdictOn } from "./proxy.ts";

const METADATA_ADDRESSES = 5;

describe("targets", () => {
  test.each([
    ["example.com", { kind: "name", name: "example.com", ports: undefined }],
    ["Example.COM.:443", { kind: "name", name: "example.com", ports: { first: 443, last: 443 } }],
    ["*.example.com:1-2", { kind: "name", name: "*.example.com", ports: { first: 1, last: 2 } }],
    ["10.0.0.0/8", { kind: "network", address: new Uint8Array([10, 0, 0, 0]), prefix: 8, ports: undefined }],
    ["192.0.2.1:80", { kind: "network", address: new Uint8Array([192, 0, 2, 1]), prefix: 32, ports: { first: 80, last: 80 } }],
    ["[::1]:80", { kind: "network", address: new Uint8Array([...new Uint8Array(15), 1]), prefix: 128, ports: { first: 80, last: 80 } }],
    ["::1", { kind: "network", address: new Uint8Array([...new Uint8Array(15), 1]), prefix: 128, ports: undefined }],
    ["::/0", { kind: "network", address: new Uint8Array(16), prefix: 0, ports: undefined }],
    ["*", { kind: "all", ports: undefined }],
    ["*:443", { kind: "all", ports: { first: 443, last: 443 } }],
  ])("%s", (text, target) => {
    expect(parseTarget(text)).toEqual(target);
  });

  test.each(["", "example.com/8", "10.0.0.0/33", "[::]/129", "a..b", "-a.example", "10.0.0", "x:0", "x:65536", "x:2-1", "x:y", "*.*.example", "**", "a b", "http://example.com", "[example]", "300.1.1.1"])("%j is refused", (text) => {
    expect(() => parseTarget(text)).toThrow(Error);
  });
});

describe("rules", () => {
  test("denials come first, then the metadata addresses, unless one is named", () => {
    const { rules, otherwise } = parseEgress("allow a.example; deny b.example\nallow 169.254.169.254; allow 169.254.0.0/16");
    expect(otherwise).toBe("deny");
    expect(rules.map(({ action }) => action)).toEqual(["deny", "allow", ...Array.from({ length: METADATA_ADDRESSES }, () => "deny"), "allow", "allow"]);
    expect(rules[1]?.target).toMatchObject({ kind: "network", prefix: 32 });
  });

  test("where nothing is allowed everything else is", () => {
    expect(parseEgress("deny 10.0.0.0/8").otherwise).toBe("allow");
    expect(parseEgress("")).toMatchObject({ otherwise: "allow" });
    expect(parseEgress("").rules).toHaveLength(METADATA_ADDRESSES);
  });

  test.each(["permit x", "allow", "allow a b", "allow a, deny b"])("%j is refused", (text) => {
    expect(() => parseEgress(text)).toThrow(Error);
  });
});

test("a name with a star stands for what is below it, not for itself", () => {
  expect(["a.example", "b.a.example", "xa.example", "a.example.evil"].map((name) => covers("*.a.example", name))).toEqual([false, true, false, false]);
  expect(["a.example", "b.a.example"].map((name) => covers("a.example", name))).toEqual([true, false]);
});

const kinds = (text: string, ...names: string[]) => names.map((name) => verdictOn(name, parseEgress(text)).kind);

test("what may be looked up", () => {
  expect(kinds("allow a.example", "a.example", "b.example")).toEqual(["allowed", "refused"]);
  expect(kinds("deny a.example", "a.example", "b.example")).toEqual(["refused", "allowed"]);
  expect(kinds("allow *; deny *.a.example", "a.example", "b.a.example")).toEqual(["allowed", "refused"]);
  expect(kinds("allow 10.0.0.0/8", "a.example")).toEqual(["refused"]);
});
