/** chroot(2): whether the caller may, and where to, the kernel says (guest/roots.ts). */
import { CONTINUE } from "../../platform/platform.ts";
import type { Handler } from "../strict.ts";

export const chroot: Handler = (call, strict) => {
  if (strict.callers.mayChangeRoot(call)) strict.namespaces.roots.mayDiffer();
  return CONTINUE;
};
