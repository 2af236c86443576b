import { expect, test } from "vitest";
import { shortened } from "./rootfs.ts";

const layers = (count: number, name: (n: number) => string) => `lowerdir=${Array.from({ length: count }, (_, n) => name(n)).join(":")}`;
const snapshot = (n: number) => `/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/${n}/fs`;
const rest = ["index=off", "upperdir=/var/lib/containerd/u", "workdir=/var/lib/containerd/w"];

test("what fits on a page is left as it is", () => {
  const data = [...rest, layers(20, snapshot)];
  expect(shortened(data)).toEqual({ directory: "/", data });
});

test("more layers: from the directory that they have in common", () => {
  expect(shortened([...rest, layers(100, snapshot)])).toEqual({
    directory: "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots",
    data: [...rest, layers(100, (n) => `${n}/fs`)],
  });
});

test("names that begin alike are no common directory, and the root is one", () => {
  expect(shortened([layers(400, (n) => `/layer-${n}/fs`)])).toEqual({ directory: "/", data: [layers(400, (n) => `layer-${n}/fs`)] });
});
