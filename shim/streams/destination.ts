/** Where containerd wants a stream to go: nowhere, into a FIFO of its own, to a file, or to a logger. Source: containerd, pkg/process/io.go. */
import { CODE, RpcError } from "../ttrpc/status.ts";

export type Destination =
  | { readonly kind: "none" }
  | { readonly kind: "fifo"; readonly path: string }
  | { readonly kind: "file"; readonly path: string }
  /** Alternately names and values of arguments. */
  | { readonly kind: "binary"; readonly path: string; readonly args: readonly string[] };

/** @throws RpcError for a scheme that is unknown. */
export function parseDestination(text: string): Destination {
  if (text === "") return { kind: "none" };
  if (text.startsWith("/")) return { kind: "fifo", path: text };
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const path = url === undefined ? "" : decodeURIComponent(url.pathname);
  switch (url?.protocol) {
    case "fifo:":
    case "file:":
      return { kind: url.protocol === "fifo:" ? "fifo" : "file", path };
    case "binary:":
      return { kind: "binary", path, args: [...url.searchParams].flat().filter((word) => word !== "") };
    default:
      throw new RpcError(CODE.invalidArgument, `cannot send a stream to ${JSON.stringify(text)}`);
  }
}
