/** Host devices that the container gets. Source: runtime-spec 1.3 config-linux.md#network-devices. */
import { EEXIST } from "../../linux/abi/errno.ts";
import * as fcntl from "../../linux/abi/fcntl.ts";
import { SysError } from "../../linux/errors.ts";
import { open } from "../../linux/file.ts";
import { CLONE_NEW, setNamespace } from "../../linux/namespace.ts";
import { moveDevice } from "../../linux/netlink/device.ts";
import { getLink, isNameTemplate, listLinks } from "../../linux/netlink/link.ts";
import { openRoute, type RouteSocket } from "../../linux/netlink/route-socket.ts";
import type { Fd } from "../../linux/fd.ts";
import type { Linux } from "../spec/config.ts";

/**
 * Moves each device into the network namespace of `pid`, with its addresses, under its new name. All or none: a virtual device that has
 * been moved ends with the namespace, so what is missing or in the way is found before the first one moves.
 * @throws SysError
 */
export function moveNetworkDevices(pid: number, devices: NonNullable<Linux["netDevices"]>): void {
  const entries = Object.entries(devices);
  if (entries.length === 0) return;
  using namespace = open(`/proc/${pid}/ns/net`, fcntl.O_RDONLY);
  using host = openRoute();
  using container = openRouteIn(namespace);
  refuseTaken(container, entries.map(([name, { name: newName }]) => newName || name));
  for (const [name] of entries) getLink(host, name);
  for (const [name, { name: newName }] of entries) moveDevice(host, container, namespace, name, newName || name);
}

function refuseTaken(container: RouteSocket, names: readonly string[]): void {
  const taken = new Set(listLinks(container).map(({ name }) => name));
  for (const name of names.filter((candidate) => !isNameTemplate(candidate))) {
    if (taken.has(name)) throw new SysError({ syscall: "netlink", errno: EEXIST, path: `link ${name}`, hint: "the container has one of that name" });
    taken.add(name);
  }
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

