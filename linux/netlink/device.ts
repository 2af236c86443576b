/** The `netDevices` of a container: a device of the host's becomes one of the container's. Source: runtime-spec 1.3, config-linux.md "Network Devices". */
import type { FdLike } from "../fd.ts";
import { addAddress, isPermanentGlobal, listAddresses } from "./address.ts";
import { getLink, isNameTemplate, listLinks, moveLink, setLinkUp, type Link } from "./link.ts";
import type { RouteSocket } from "./route-socket.ts";

/**
 * Moves `name` into the container's namespace as `newName`, gives it back its permanent global addresses, which a move takes away, and
 * brings it up. A new name with `%d` gets the first free number of the container's.
 * @param host a socket of the namespace the device is in.
 * @param container a socket of the namespace it goes to, and `namespace` a descriptor of that one.
 * @throws SysError ENODEV where the host has no such device, EEXIST where the container has one of the new name.
 */
export function moveDevice(host: RouteSocket, container: RouteSocket, namespace: FdLike, name: string, newName = name): void {
  const addresses = listAddresses(host, getLink(host, name).index).filter(isPermanentGlobal);
  const before = new Set(listLinks(container).map(({ index }) => index));
  moveLink(host, name, namespace, newName);
  const link = isNameTemplate(newName) ? arrived(container, before, newName) : getLink(container, newName);
  // A label begins with the old name, and only an alias needs one.
  for (const address of addresses) addAddress(container, link.index, { ...address, label: undefined });
  setLinkUp(container, link.name);
}

/** The kernel does not tell the name that it made of a template: it is the link that was not there before. */
function arrived(container: RouteSocket, before: ReadonlySet<number>, template: string): Link {
  const found = listLinks(container).filter(({ index }) => !before.has(index));
  const [link] = found;
  if (link === undefined || found.length > 1) throw new Error(`network device ${template}: ${found.length} devices appeared in the namespace at once`);
  return link;
}
