/**
 * The path below /proc/sys of a sysctl name, in parts. As in sysctl(8), the first separator decides: in "net.ipv4.ip_forward"
 * dots separate and a slash stands for a dot within a part ("net.ipv4.conf.eno2/100.rp_filter"); in "net/ipv4/conf/eno2.100/
 * rp_filter" it is the other way round. Undefined if a part is empty, "." or "..", which would lead out of the tree.
 */
export function sysctlSegments(name: string): string[] | undefined {
  const slashes = name.search(/[./]/) >= 0 && name[name.search(/[./]/)] === "/";
  const parts = slashes ? name.split("/") : name.split(".").map((part) => part.replaceAll("/", "."));
  const safe = parts.every((part) => part !== "" && part !== "." && part !== ".." && !part.includes("\0"));
  return safe && parts.length > 1 ? parts : undefined;
}
