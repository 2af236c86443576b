/** The `netDevices` of a container: a device of the host's becomes one of the container's. Source: runtime-spec 1.3, config-linux.md "Network Devices". */
import type { FdLike } from "../fd.ts";
import { addAddress, isPermanentGlobal, listAddresses } from "./address.ts";
import { getLink, moveLink, setLinkUp } from "./link.ts";
import type { RouteSocket } from "./route-socket.ts";

/**
 * Moves `name` into the container's namespace as `newName`, gives it back its permanent global addresses, which a move takes away, and
 * brings it up.
 * @param host a socket of the namespace the device is in.
 * @param container a socket of the namespace it goes to, and `namespace` a descriptor of that one.
 * @throws SysError ENODEV where the host has no such device, EEXIST where the container has one of the new name.
 */
export function moveDevice(host: RouteSocket, container: RouteSocket, namespace: FdLike, name: string, newName = name): void {
  const addresses = listAddresses(host, getLink(host, name).index).filter(isPermanentGlobal);
  moveLink(host, name, namespace, newName);
  const { index } = getLink(container, newName);
  // A label begins with the old name, and only an alias needs one.
  for (const address of addresses) addAddress(container, index, { ...address, label: undefined });
  setLinkUp(container, newName);
}
