import { expect, test } from "vitest";
import { parseArguments } from "./arguments.ts";

test("as containerd 1.6 calls it", () => {
  const args = ["-namespace", "k8s.io", "-address", "/run/containerd/containerd.sock", "-publish-binary", "/usr/bin/containerd", "-id", "abc", "-debug", "start"];
  expect(parseArguments(args)).toEqual({ namespace: "k8s.io", address: "/run/containerd/containerd.sock", id: "abc", bundle: "", handler: "", debug: true, action: "start" });
  expect(parseArguments(["-namespace", "a", "-id", "b", "-bundle", "/run/b", "delete"])).toMatchObject({ bundle: "/run/b", action: "delete", debug: false });
});

test("Go's other ways to write a flag", () => {
  expect(parseArguments(["--id=x=y", "--debug=false", "start"])).toMatchObject({ id: "x=y", debug: false });
  expect(parseArguments(["-v"]).action).toBe("version");
});

test("an unknown flag is refused", () => {
  expect(() => parseArguments(["-nonsense", "start"])).toThrow("unknown flag: -nonsense");
});
