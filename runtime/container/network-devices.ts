/** Host devices that the container gets. Source: runtime-spec 1.3 config-linux.md#network-devices. */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { open } from "../../linux/file.ts";
import { CLONE_NEW, setNamespace } from "../../linux/namespace.ts";
import { moveDevice } from "../../linux/netlink/device.ts";
import { openRoute, type RouteSocket } from "../../linux/netlink/route-socket.ts";
import type { Fd } from "../../linux/fd.ts";
import type { Linux } from "../spec/config.ts";

/** Moves each device into the network namespace of `pid`, with its addresses, under its new name. @throws SysError */
export function moveNetworkDevices(pid: number, devices: NonNullable<Linux["netDevices"]>): void {
  const entries = Object.entries(devices);
  if (entries.length === 0) return;
  using namespace = open(`/proc/${pid}/ns/net`, fcntl.O_RDONLY);
  using host = openRoute();
  using container = openRouteIn(namespace);
  for (const [name, { name: newName }] of entries) moveDevice(host, container, namespace, name, newName || name);
}

/** A socket stays in the namespace it was opened in: the calling thread only visits. */
function openRouteIn(namespace: Fd): RouteSocket {
  using home = open("/proc/thread-self/ns/net", fcntl.O_RDONLY);
  setNamespace(namespace, CLONE_NEW.net, "net");
  try {
    return openRoute();
  } finally {
    setNamespace(home, CLONE_NEW.net, "net");
  }
}

