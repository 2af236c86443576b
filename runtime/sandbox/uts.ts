/** The names that a sandbox answers uname(2) with. */
import * as fcntl from "../../linux/abi/fcntl.ts";
import { open, readAll } from "../../linux/file.ts";
import { CLONE_NEW, setNamespace } from "../../linux/namespace.ts";
import type { Spec } from "../spec/config.ts";

export interface UtsNames {
  readonly nodename: string;
  readonly domainname: string;
}

/** What the configuration says, or else, as for a container of a pod, what the uts namespace has that it joins. */
export function utsOf({ hostname, domainname, linux }: Spec): UtsNames {
  const joined = linux?.namespaces?.find(({ type, path }) => type === "uts" && path)?.path;
  const names = joined === undefined || (hostname && domainname) ? undefined : namesIn(joined);
  return { nodename: hostname || (names?.nodename ?? ""), domainname: domainname || (names?.domainname ?? "(none)") };
}

/** By entering it for a moment. Source: setns(2), uts_namespaces(7). */
function namesIn(path: string): UtsNames {
  using own = open("/proc/self/ns/uts", fcntl.O_RDONLY);
  using other = open(path, fcntl.O_RDONLY);
  setNamespace(other, CLONE_NEW.uts, path);
  try {
    return { nodename: readName("hostname"), domainname: readName("domainname") };
  } finally {
    setNamespace(own, CLONE_NEW.uts, "our own");
  }
}

function readName(name: "hostname" | "domainname"): string {
  using file = open(`/proc/sys/kernel/${name}`, fcntl.O_RDONLY);
  return Buffer.from(readAll(file)).toString().trimEnd();
}
