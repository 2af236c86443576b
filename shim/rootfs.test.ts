import { expect, test } from "vitest";
import { idMaps, shortened } from "./rootfs.ts";

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

test("maps of ids, as containerd 2 writes them; both or none", () => {
  expect(idMaps([...rest, "uidmap=0:100000:65536", "gidmap=0:200000:1000,1000:300000:5"])).toEqual({
    uid: [{ containerID: 0, hostID: 100000, size: 65536 }],
    gid: [{ containerID: 0, hostID: 200000, size: 1000 }, { containerID: 1000, hostID: 300000, size: 5 }],
  });
  expect(idMaps([...rest, "uidmap=0:100000:65536"])).toBeUndefined();
});
