import { describe, expect, test } from "vitest";
import { boundedBy, withEgress } from "./egress.ts";

describe("a container's rules within the host's", () => {
  test.each([
    ["deny 10.0.0.0/8", undefined, "deny 10.0.0.0/8"],
    ["deny 10.0.0.0/8", "allow example.com:443", "deny 10.0.0.0/8; allow example.com:443"],
    ["deny 10.0.0.0/8; allow *", "deny example.com", "deny 10.0.0.0/8; deny example.com; allow *"],
    ["allow a.example; allow b.example", "allow  B.example", "allow b.example"],
    ["allow a.example; allow b.example", "deny b.example", "deny b.example; allow a.example; allow b.example"],
    ["allow 169.254.169.254", "allow 169.254.169.254", "allow 169.254.169.254"],
  ])("%s, and %s: %s", (host, asked, rules) => expect(boundedBy(host, asked)).toBe(rules));

  test.each([
    ["allow a.example", "allow b.example"],
    ["allow a.example", "allow *"],
    ["allow *:443", "allow *"],
    // Denied wherever there are rules, unless one allows that very address.
    ["deny 10.0.0.0/8", "allow 169.254.169.254"],
    ["allow *", "allow [fd00:ec2::254]:80"],
  ])("%s does not let a container have %s", (host, asked) => expect(() => boundedBy(host, asked)).toThrow(/may only take away from/));
});

const spec = (path?: string) => ({ ociVersion: "1.3.0", linux: { namespaces: [{ type: "network" as const, ...(path === undefined ? {} : { path }) }] } });

describe("whom the host's rules bind", () => {
  const config = { network: { egress: "deny 10.0.0.0/8" } };

  test("every sandbox with a network", () => expect(withEgress(spec("/run/netns/x"), config, "sentry", false).annotations).toEqual({ "dev.tssandbox.egress": "deny 10.0.0.0/8" }));
  test("not the loopback of `do`, but its `--network host`", () => {
    expect(withEgress(spec(), config, "sentry", true).annotations).toBeUndefined();
    expect(withEgress({ ociVersion: "1.3.0" }, config, "sentry", true).annotations).toBeDefined();
  });
  test("a mode that cannot keep them is refused", () => expect(() => withEgress(spec(), config, "namespace", false)).toThrow("it takes sentry mode"));
});
