import { expect, test } from "vitest";
import { normal, Volumes } from "./volumes.ts";
import type { Desk } from "./errands.ts";

test.each([["/a/b", "/a/b"], ["//a/./b/", "/a/b"], ["/a/../../b", "/b"], ["/", "/"], ["/a/..", "/"]])("%s is %s", (path, plain) => expect(normal(path)).toBe(plain));

const line = (device: string, path: string, type = "fuse") => `30 29 ${device} / ${path} rw,nodev - ${type} gofer rw,user_id=0\n`;

test("a name belongs to the innermost volume that its text leads to", () => {
  const [outer, inner] = [{}, {}] as [Desk, Desk];
  const volumes = new Volumes([[outer, ["/data/"]], [inner, ["/data/in side"]]]);
  expect(volumes.at("/data/x")).toBeUndefined();
  volumes.learn(["0:50 /", "0:51 /proc/stat", "0:52 /data", "0:53 /data/in\\040side", "0:54 /var/linked"].map((text) => line(...(text.split(" ") as [string, string]))).join("") + line("0:55", "/dev/shm", "tmpfs"));
  for (const path of ["/data", "/data/x", "/data/in side/../x", "/x/../data/in"]) expect([path, volumes.at(path) === outer]).toEqual([path, true]);
  for (const path of ["/data/in side", "/data//in side/x"]) expect([path, volumes.at(path) === inner]).toEqual([path, true]);
  for (const path of ["/", "/database", "/proc/stat", "/dev/shm/x", "/data/.."]) expect([path, volumes.at(path)]).toEqual([path, undefined]);
  // Mounted elsewhere than configured.
  expect(volumes.at("/var/linked/x")).toBe(outer);
});
